# Images to tensors.
#
# in:  the PNGs of a batch of prompts, or a batch of the user's own images
# out: results/tensors/{input}/{batch}.h5, and to look at results/preprocessed/{input}/{image}.png


for batch, images in STUDY.image_batches.items():

    rule:
        name:
            f"preprocess_{batch}"
        input:
            images=lambda wildcards, images=images: [STUDY.source(image) for image in images],
        output:
            tensors=f"results/tensors/{{input_name}}/{batch}.h5",
            pictures=[f"results/preprocessed/{{input_name}}/{image}.png" for image in images],
        log:
            f"results/logs/preprocess/{{input_name}}/{batch}.log",
        benchmark:
            f"results/benchmarks/preprocess/{{input_name}}/{batch}.tsv"
        conda:
            ENVS["preprocess"]
        threads: 4
        resources:
            mem_mb=1000,
            runtime=30,
        params:
            input_spec=lambda wildcards: STUDY.inputs[wildcards.input_name].to_dict(),
            on_bad_image=STUDY.config["on_bad_image"],
        message:
            f"Preprocessing {len(images)} images ({batch}) as {{wildcards.input_name}}"
        script:
            "../scripts/preprocess.py"
