# Predictions to pictures.
#
# in:  the tensors and predictions of the images chosen by `figures.images`, all PNGs for the gallery
# out: results/figures/gallery.png
#      results/figures/{classifier}/confusion.png and .tsv
#      results/figures/{classifier}/{image}/*.png


for classifier, spec in STUDY.classifiers.items():
    for batch in STUDY.image_batches:
        if chosen := STUDY.chosen_in(batch):

            rule:
                name:
                    f"figures_{classifier}_{batch}"
                input:
                    tensors=f"results/tensors/{spec.input.name}/{batch}.h5",
                    predictions=f"results/predictions/{classifier}/{FIGURE_ENGINE}/{batch}.h5",
                    spec=str(spec.path),
                output:
                    [figure for image in chosen for figure in figures_of(spec, image)],
                log:
                    f"results/logs/figures/{classifier}_{batch}.log",
                benchmark:
                    f"results/benchmarks/figures/{classifier}_{batch}.tsv"
                conda:
                    ENVS["figures"]
                threads: 2
                resources:
                    mem_mb=2000,
                    runtime=60,
                params:
                    images=chosen,
                    style=lambda wildcards: FIGURE_STYLE,
                message:
                    f"Drawing what {classifier} sees in {len(chosen)} images ({batch})"
                script:
                    "../scripts/figures.py"


rule confusion:
    input:
        predictions=f"results/predictions/{{classifier}}/{FIGURE_ENGINE}.tsv",
    output:
        table="results/figures/{classifier}/confusion.tsv",
        figure="results/figures/{classifier}/confusion.png",
    log:
        "results/logs/confusion/{classifier}.log",
    conda:
        ENVS["figures"]
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        asked=lambda wildcards: {image: prompt.prompt for image, prompt in STUDY.prompt_of_image.items()},
        labels=lambda wildcards: STUDY.classifiers[wildcards.classifier].labels,
        style=lambda wildcards: FIGURE_STYLE,
    message:
        "Counting what was asked against what {wildcards.classifier} saw"
    script:
        "../scripts/confusion.py"


rule gallery:
    input:
        images=lambda wildcards: [file for file, _, _ in gallery(STUDY)],
    output:
        "results/figures/gallery.png",
    log:
        "results/logs/gallery.log",
    benchmark:
        "results/benchmarks/gallery.tsv"
    conda:
        ENVS["figures"]
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        captions=lambda wildcards: [caption for _, caption, _ in gallery(STUDY)],
        rows=lambda wildcards: [row for _, _, row in gallery(STUDY)],
        style=lambda wildcards: FIGURE_STYLE,
    message:
        "Hanging the gallery"
    script:
        "../scripts/gallery.py"
