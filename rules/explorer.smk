# Every image of a study in a page that filters, sorts and compares.
#
# in:  the images, tensors and predictions of all batches, what was asked of each, and where they lie
# out: results/explorer.html, which links to the files beside it


rule explorer:
    input:
        study=RESULTS.study,
        checksums=[RESULTS.checksums(batch) for batch in STUDY.prompts_of],
        images=BROUGHT_IMAGES,
        tensors=[
            RESULTS.tensors(input_name, batch)
            for input_name in STUDY.inputs
            for batch in STUDY.image_batches
        ],
        predictions=[
            RESULTS.predictions(classifier, engine.name, batch)
            for classifier in STUDY.classifiers
            for engine in RUNNING
            for batch in STUDY.image_batches
        ],
        truth=[RESULTS.truth(classifier) for classifier in STUDY.classifiers],
        alike=[file for shown in explored_classifiers(STUDY, RUNNING) for file in shown["alike"].values()],
        request=request_of("explorer"),
    output:
        explorer=RESULTS.explorer,
    log:
        RESULTS.log("explorer"),
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(1000 + IMAGES // 50),
        runtime=growing(10 + IMAGES // 1000),
        disk_mb=100 + IMAGES // 1000,
    params:
        asked=asked_of("explorer"),
        classifiers=lambda wildcards, output: explored_classifiers(
            STUDY, RUNNING, Results.of(output.explorer)
        ),
        drawn=STUDY.chosen,
        explained=STUDY.explained,
        own={name: str(image.path) for name, image in STUDY.own_images.items()},
    message:
        "Writing the explorer"
    script:
        "../scripts/explorer.py"
