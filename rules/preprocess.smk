# Images to tensors.
#
# in:  the images of a batch of prompts, listed in its checksums, or a batch of the user's own
# out: results/tensors/{input}/{batch}.h5, and to look at results/preprocessed/{input}/{image}.png


for batch, images in STUDY.image_batches.items():

    rule:
        name:
            rule_name("preprocess", batch)
        input:
            checksums=[RESULTS.checksums(batch)] if batch in STUDY.prompts_of else [],
            images=RESULTS.images(GENERATED.get(batch, [])) if REMOTE_STORAGE else [],
            own=users([STUDY.source(image) for image in images if image in STUDY.own_images]),
            request=request_of(f"preprocess/{{input_name}}/{batch}"),
        output:
            tensors=RESULTS.tensors("{input_name}", batch),
            pictures=[RESULTS.preprocessed("{input_name}", image) for image in images if REMOTE_STORAGE],
        log:
            RESULTS.log(f"preprocess/{{input_name}}/{batch}"),
        benchmark:
            RESULTS.benchmark(f"preprocess/{{input_name}}/{batch}")
        conda:
            ENVS["preprocess"]
        threads: PREPROCESS_THREADS
        resources:
            # Asked of a job that runs: it reads the heads of all its images.
            mem_mb=growing(lambda wildcards, batch=batch: preprocess_needs(STUDY, batch)["mem_mb"]),
            runtime=growing(10 + len(images) // 50),
            disk_mb=lambda wildcards, batch=batch: preprocess_needs(STUDY, batch)["disk_mb"],
        params:
            asked=asked_of(f"preprocess/{{input_name}}/{batch}"),
        message:
            f"Preprocessing {len(images)} images ({batch}) as {{wildcards.input_name}}"
        script:
            "../scripts/preprocess.py"
