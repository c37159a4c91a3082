# Images to tensors.
#
# in:  the images of a batch of prompts, listed in its checksums, or a batch of the user's own
# out: results/tensors/{input}/{batch}.h5, and to look at results/preprocessed/{input}/{image}.png


for batch, images in STUDY.image_batches.items():
    needs = preprocess_needs(STUDY, batch)

    rule:
        name:
            f"preprocess_{batch}"
        input:
            checksums=[f"results/checksums/{batch}.sha256"] if batch in STUDY.prompts_of else [],
            images=images_of(SEEN_IMAGES.get(batch, [])),
            own=local([STUDY.source(image) for image in images if image in STUDY.own_images]),
        output:
            tensors=f"results/tensors/{{input_name}}/{batch}.h5",
            pictures=[
                f"results/preprocessed/{{input_name}}/{image}.png" for image in images if REMOTE_STORAGE
            ],
        log:
            f"results/logs/preprocess/{{input_name}}/{batch}.log",
        benchmark:
            f"results/benchmarks/preprocess/{{input_name}}/{batch}.tsv"
        conda:
            ENVS["preprocess"]
        threads: 4
        resources:
            mem_mb=growing(needs["mem_mb"]),
            runtime=growing(needs["runtime"]),
            disk_mb=needs["disk_mb"],
        params:
            images=images,
            input_spec=lambda wildcards: STUDY.inputs[wildcards.input_name].to_dict(),
            on_bad_image=STUDY.config["on_bad_image"],
        message:
            f"Preprocessing {len(images)} images ({batch}) as {{wildcards.input_name}}"
        script:
            "../scripts/preprocess.py"
