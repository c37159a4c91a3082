# What the study asked for and what it made, to compare with later.
#
# in:  the checksums of the images, the tables of predictions, the prompts table
# out: results/manifest.sha256  the SHA-256 of each image and table, for `sha256sum --check` or `verify`
#      results/study.json       config and prompts: what the next run says has changed
#      results/verify.tsv       each image and table beside those of another run (config: verify)


rule record:
    input:
        checksums=[RESULTS.checksums(batch) for batch in STUDY.prompts_of],
        tables=PREDICTION_TABLES,
        prompts=local(PROMPTS_TABLES),
    output:
        manifest=RESULTS.manifest,
        study=RESULTS.study,
    log:
        RESULTS.log("record"),
    conda:
        ENVS["preprocess"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=10,
    params:
        code=code_of("record.py"),
        config=lambda wildcards: STUDY.config,
    message:
        "Recording what was asked and what was made"
    script:
        "../scripts/record.py"


rule verify:
    input:
        checksums=[RESULTS.checksums(batch) for batch in STUDY.prompts_of],
        tables=PREDICTION_TABLES,
        images=BROUGHT_IMAGES,
        reference_files=local(STUDY.reference_files),
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
        code=code_of("verify.py"),
        reference=str(STUDY.reference) if STUDY.reference else None,
    message:
        "Comparing the images and predictions with {params.reference}"
    script:
        "../scripts/verify.py"
