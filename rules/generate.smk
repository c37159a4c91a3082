# Prompts to images.
#
# in:  the prompts table, the model folder (a hub id is pinned by its revision)
# out: results/images/{prompt}_{k}.png, and of each batch results/checksums/{batch}.sha256;
#      with variants results/images/{variant}/{prompt}_{k}.png, a batch being of one variant
#
# The list of checksums stands for the images of its batch: Snakemake gives every declared
# output a new modification time when a job has run, and keeps a record of each, so that images
# that are kept would not stay as they are, and ten thousand of them would be slow. Declared
# are those that are gone, which Snakemake then sees; and with remote storage all, which it moves.
#
# A rule a batch, because only a rule of its own can list images. They are marked update(), so
# that a job finds those that are there and keeps what it would make anyway. The table is
# ancient(): what counts is the digest of the batch's rows.


for batch, prompts in STUDY.prompts_of.items():
    needs = generate_needs(STUDY, batch, GPU)
    generator = STUDY.generator_of(batch)

    rule:
        name:
            rule_name("generate", batch)
        input:
            prompts=ancient(local(str(STUDY.prompts_path))),
            model=users(generator.files()),
            fetched=fetched_for(generator),
            request=request_of(f"generate/{batch}"),
        output:
            images=update(RESULTS.images(DECLARED_IMAGES.get(batch, []))),
            checksums=RESULTS.checksums(batch),
            costs=update(RESULTS.costs(batch) if STUDY.has_variants else []),
        log:
            RESULTS.log(f"generate/{batch}"),
        benchmark:
            RESULTS.benchmark(f"generate/{batch}")
        conda:
            ENVS["generate"]
        threads: generator.threads
        resources:
            mem_mb=growing(needs["mem_mb"]),
            runtime=growing(needs["runtime"]),
            disk_mb=needs["disk_mb"],
            gpu={"auto": GPU, "cuda": 1}.get(generator.device, 0),
        params:
            asked=asked_of(f"generate/{batch}"),
            fetches=REMOTE_STORAGE,
        message:
            f"Generating {len(STUDY.image_batches[batch])} images ({batch})"
        script:
            "../scripts/generate.py"
