# Predictions to pictures.
#
# in:  the tensors and predictions of the images chosen by `figures.images`, all PNGs for the gallery
# out: results/figures/gallery.png
#      results/figures/{classifier}/confusion.png and .tsv
#      results/figures/{classifier}/{image}/*.png

# The engine that the figures show: its files are like the other's.
FIGURE_ENGINE = ENGINES[0]


def figures_of(classifier, image):
    """The figures of one image, in the order of the report."""
    convolutions = STUDY.classifiers[classifier].convolutions()
    names = [
        "loaded_image_verification",
        "input_image_visualizations",
        *(f"conv_layer_{i}_feature_maps" for i in range(1, convolutions + 1)),
        "model_output",
    ]
    return [f"results/figures/{classifier}/{image}/{name}.png" for name in names]


for classifier, spec in STUDY.classifiers.items():
    for batch in STUDY.image_batches:
        if chosen := STUDY.chosen_in(batch):

            rule:
                name:
                    f"figures_{classifier}_{batch}"
                message:
                    f"Drawing what {classifier} sees in {len(chosen)} images ({batch})"
                input:
                    tensors=f"results/tensors/{spec.input.name}/{batch}.h5",
                    predictions=f"results/predictions/{classifier}/{FIGURE_ENGINE}/{batch}.h5",
                    spec=str(spec.path),
                output:
                    [figure for image in chosen for figure in figures_of(classifier, image)],
                params:
                    folder=f"results/figures/{classifier}",
                    images=chosen,
                    style=lambda wildcards: FIGURE_STYLE,
                log:
                    f"results/logs/figures/{classifier}_{batch}.log",
                benchmark:
                    f"results/benchmarks/figures/{classifier}_{batch}.tsv"
                resources:
                    mem_mb=2000,
                    runtime=60,
                conda:
                    ENVS["figures"]
                script:
                    "../scripts/figures.py"


rule confusion:
    message:
        "Counting what was asked against what {wildcards.classifier} saw"
    input:
        predictions=f"results/predictions/{{classifier}}/{FIGURE_ENGINE}.tsv",
    output:
        table="results/figures/{classifier}/confusion.tsv",
        figure="results/figures/{classifier}/confusion.png",
    params:
        asked=lambda wildcards: {image: prompt.prompt for image, prompt in STUDY.prompt_of_image.items()},
        labels=lambda wildcards: STUDY.classifiers[wildcards.classifier].labels,
        style=lambda wildcards: FIGURE_STYLE,
    log:
        "results/logs/confusion/{classifier}.log",
    resources:
        mem_mb=1000,
        runtime=10,
    conda:
        ENVS["figures"]
    script:
        "../scripts/confusion.py"


rule gallery:
    message:
        "Hanging the gallery"
    input:
        images=lambda wildcards: [STUDY.source(image) for image in gallery_images()],
    output:
        "results/figures/gallery.png",
    params:
        captions=lambda wildcards: [caption_of(image) for image in gallery_images()],
        rows=lambda wildcards: [row_of(image) for image in gallery_images()],
        style=lambda wildcards: FIGURE_STYLE,
    log:
        "results/logs/gallery.log",
    benchmark:
        "results/benchmarks/gallery.tsv"
    resources:
        mem_mb=2000,
        runtime=10,
    conda:
        ENVS["figures"]
    script:
        "../scripts/gallery.py"
