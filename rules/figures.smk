# Predictions to pictures.
#
# in:  the tensors and predictions of the images chosen by `figures.images`; for the gallery, the
#      images of the first prompts
# out: results/figures/gallery.png
#      results/figures/{classifier}/confusion.png and .tsv
#      results/figures/{classifier}/{image}/*.png


for classifier, spec in STUDY.classifiers.items():
    for batch in STUDY.image_batches:
        if chosen := STUDY.chosen_in(batch):
            needs = figures_needs(spec, len(chosen))

            rule:
                name:
                    f"figures_{classifier}_{batch}"
                input:
                    tensors=f"results/tensors/{spec.input.name}/{batch}.h5",
                    predictions=f"results/predictions/{classifier}/{FIGURE_ENGINE}/{batch}.h5",
                    spec=local(str(spec.path)),
                output:
                    [
                        report(
                            figure,
                            caption="../captions/figure.rst",
                            category=f"What {classifier} sees",
                            subcategory=image,
                            labels={"figure": Path(figure).stem.replace("_", " ")},
                        )
                        for image in chosen
                        for figure in figures_of(spec, image)
                    ],
                log:
                    f"results/logs/figures/{classifier}_{batch}.log",
                benchmark:
                    f"results/benchmarks/figures/{classifier}_{batch}.tsv"
                conda:
                    ENVS["figures"]
                threads: 2
                resources:
                    mem_mb=growing(needs["mem_mb"]),
                    runtime=growing(needs["runtime"]),
                    disk_mb=needs["disk_mb"],
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
        prompts=ancient(local(PROMPTS_TABLES)),
    output:
        table="results/figures/{classifier}/confusion.tsv",
        figure=report(
            "results/figures/{classifier}/confusion.png",
            caption="../captions/confusion.rst",
            category="Predictions",
            labels={"classifier": "{classifier}", "what": "asked against seen"},
        ),
    log:
        "results/logs/confusion/{classifier}.log",
    localrule: True
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=100,
    params:
        labels=lambda wildcards: STUDY.classifiers[wildcards.classifier].labels,
        style=lambda wildcards: FIGURE_STYLE,
    message:
        "Counting what was asked against what {wildcards.classifier} saw"
    script:
        "../scripts/confusion.py"


rule gallery:
    input:
        sources_of([image for row in gallery(STUDY) for image in row["images"]]),
    output:
        report("results/figures/gallery.png", caption="../captions/gallery.rst", category="Images"),
    log:
        "results/logs/gallery.log",
    benchmark:
        "results/benchmarks/gallery.tsv"
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10 + IMAGES // 100),
        disk_mb=100,
    params:
        rows=lambda wildcards: gallery(STUDY),
        # Snakemake compares no params that depend on the output: another place is no change.
        sources=lambda wildcards, output: {
            image: STUDY.source(image, root_of(output[0]))
            for row in gallery(STUDY)
            for image in row["images"]
        },
        total=len(STUDY.prompts) + bool(STUDY.own_images),
        style=lambda wildcards: FIGURE_STYLE,
    message:
        "Hanging the gallery"
    script:
        "../scripts/gallery.py"
