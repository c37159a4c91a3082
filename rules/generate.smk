# Prompts to images.
#
# in:  the prompts table, the model folder (a hub id is pinned by its revision)
# out: results/images/{prompt}_{k}.png
#
# A rule a batch, because only a rule of its own can list the images of its batch. They are
# marked update(), so that a job finds the images of an earlier run and keeps those that it
# would make anyway. The table is ancient(): what counts is the digest of the batch's rows.


for batch, prompts in STUDY.prompts_of.items():

    rule:
        name:
            f"generate_{batch}"
        input:
            prompts=ancient(STUDY.prompts_path),
            model=STUDY.generator.files(),
        output:
            update([f"results/images/{image}.png" for image in STUDY.image_batches[batch]]),
        log:
            f"results/logs/generate/{batch}.log",
        benchmark:
            f"results/benchmarks/generate/{batch}.tsv"
        conda:
            ENVS["generate"]
        threads: STUDY.generator.threads
        resources:
            mem_mb=4000,
            runtime=240,
        params:
            request=STUDY.request_digest(batch),
            settings=lambda wildcards: STUDY.generator.settings(),
        message:
            f"Generating {len(STUDY.image_batches[batch])} images ({batch})"
        script:
            "../scripts/generate.py"
