# Predictions to pictures.
#
# in:  the tensors and predictions of the images chosen by `figures.images`; for the gallery, the
#      images of the first prompts
# out: results/figures/gallery.png
#      results/truth/{classifier}.tsv  what was asked of each image, in the labels of a classifier
#      results/figures/{classifier}/confusion.png and .tsv
#      results/figures/{classifier}/{image}/*.png, as many as `of_image` has modules (see
#      scripts/promptflux/figures/of_image/__init__.py)

for classifier, spec in STUDY.classifiers.items():
    for batch in STUDY.image_batches:
        if chosen := STUDY.chosen_in(batch):
            needs = figures_needs(STUDY, classifier, chosen)

            rule:
                name:
                    rule_name("figures", classifier, batch)
                input:
                    tensors=RESULTS.tensors(spec.input.name, batch),
                    predictions=RESULTS.predictions(classifier, FIGURE_ENGINE, batch),
                    explanations=(
                        RESULTS.explanations(classifier, FIGURE_ENGINE, batch) if batch in EXPLAINED else []
                    ),
                    model=RESULTS.model(classifier, ENGINES["torch"].model),
                    request=request_of(f"figures/{classifier}/{batch}"),
                output:
                    figures=[
                        report(
                            RESULTS.figure(classifier, image, drawing.file),
                            caption="../captions/figure.rst",
                            category=f"What {classifier} sees",
                            subcategory=image,
                            labels={"figure": drawing.title},
                        )
                        for image in chosen
                        for drawing in STUDY.drawings_of(classifier, image)
                    ],
                log:
                    RESULTS.log(f"figures/{classifier}/{batch}"),
                benchmark:
                    RESULTS.benchmark(f"figures/{classifier}/{batch}")
                conda:
                    ENVS["figures"]
                threads: 2
                resources:
                    mem_mb=growing(needs["mem_mb"]),
                    runtime=growing(needs["runtime"]),
                    disk_mb=needs["disk_mb"],
                params:
                    asked=asked_of(f"figures/{classifier}/{batch}"),
                message:
                    f"Drawing what {classifier} sees in {len(chosen)} images ({batch})"
                script:
                    "../scripts/figures.py"


rule confusion:
    input:
        predictions=RESULTS.predictions_table("{classifier}", FIGURE_ENGINE),
        tensors=lambda wildcards: [
            RESULTS.tensors(STUDY.classifiers[wildcards.classifier].input.name, batch)
            for batch in STUDY.image_batches
        ],
        prompts=ancient(local(PROMPTS_TABLES)),
        request=request_of("confusion/{classifier}"),
    output:
        truth=RESULTS.truth("{classifier}"),
        table=RESULTS.confusion_table("{classifier}"),
        figure=report(
            RESULTS.confusion_figure("{classifier}"),
            caption="../captions/confusion.rst",
            category="Predictions",
            labels={"classifier": "{classifier}", "what": "asked against seen"},
        ),
    log:
        RESULTS.log("confusion/{classifier}"),
    localrule: True
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=100,
    params:
        asked=asked_of("confusion/{classifier}"),
    message:
        "Counting what was asked against what {wildcards.classifier} saw"
    script:
        "../scripts/confusion.py"


rule gallery:
    input:
        images=sources_of([image for row in gallery_rows(STUDY) for image in row["images"]]),
        request=request_of("gallery"),
    output:
        figure=report(RESULTS.gallery, caption="../captions/gallery.rst", category="Images"),
    log:
        RESULTS.log("gallery"),
    benchmark:
        RESULTS.benchmark("gallery")
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(lambda wildcards: 2000 + opening_mb(STUDY, STUDY.own_images)),
        runtime=growing(10 + IMAGES // 100),
        disk_mb=100,
    params:
        asked=asked_of("gallery"),
        # Snakemake compares no params that depend on the output: another place is no change.
        sources=lambda wildcards, output: {
            image: STUDY.source(image, Results.of(output.figure))
            for row in gallery_rows(STUDY)
            for image in row["images"]
        },
    message:
        "Hanging the gallery"
    script:
        "../scripts/gallery.py"
