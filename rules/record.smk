# What the study asked for and what it made, to compare with later.
#
# in:  the checksums of the images, predictions, the prompts table
# out: results/manifest.sha256  the SHA-256 of each image and table, for `sha256sum --check` or `verify`
#      results/study.json       config and prompts: what the next run says has changed
#      results/batches.tsv      which images are in which files of tensors and predictions
#      results/images/metadata.jsonl  what was asked of each image, so that their folder is a data set
#      results/verify.tsv       each image and table beside those of another run (config: verify)


rule record:
    input:
        checksums=[RESULTS.checksums(batch) for batch in STUDY.prompts_of],
        tables=PREDICTION_TABLES,
        predictions=[
            RESULTS.predictions(next(iter(STUDY.classifiers)), FIGURE_ENGINE, batch)
            for batch in STUDY.image_batches
        ],
        prompts=ancient(local(PROMPTS_TABLES)),
        request=request_of("record"),
    output:
        manifest=RESULTS.manifest,
        study=RESULTS.study,
        batches=RESULTS.batches,
        metadata=RESULTS.metadata if STUDY.prompts_of else [],
    log:
        RESULTS.log("record"),
    conda:
        ENVS["preprocess"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=10,
    params:
        asked=asked_of("record"),
    message:
        "Recording what was asked and what was made"
    script:
        "../scripts/record.py"


rule verify:
    input:
        checksums=[RESULTS.checksums(batch) for batch in STUDY.prompts_of],
        tables=PREDICTION_TABLES,
        images=BROUGHT_IMAGES,
        reference_files=users(STUDY.reference_files),
        request=request_of("verify"),
    output:
        verified=RESULTS.verified,
    log:
        RESULTS.log("verify"),
    conda:
        ENVS["preprocess"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
        disk_mb=10,
    params:
        asked=asked_of("verify"),
    message:
        "Comparing the images and predictions with another run"
    script:
        "../scripts/verify.py"
