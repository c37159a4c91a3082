# This study beside other finished ones (config: compare).
#
# in:  the images, predictions, truth and metrics of this study, and the results folder of the other
# out: results/comparison/{other}/differences.tsv  what was asked otherwise
#      results/comparison/{other}/images.tsv       each image and the one of the same prompt and seed there
#      results/comparison/{other}/labels.tsv       the labels that changed
#      results/comparison/{other}/metrics.tsv      metrics beside metrics
#      results/comparison/{other}/images.png       some of the images, and their difference


rule compare:
    input:
        study=RESULTS.study,
        manifest=RESULTS.manifest,
        batches=RESULTS.batches,
        tables=PREDICTION_TABLES,
        models=[RESULTS.model(classifier, ".h5") for classifier in STUDY.classifiers],
        truth=[RESULTS.truth(classifier) for classifier in STUDY.classifiers],
        metrics=[RESULTS.metrics(classifier) for classifier in STUDY.classifiers],
        images=BROUGHT_IMAGES,
        other_files=lambda wildcards: users(STUDY.compared_files[wildcards.other]),
        request=request_of("compare/{other}"),
    output:
        asked_otherwise=RESULTS.comparison("{other}", "differences.tsv"),
        image_pairs=RESULTS.comparison("{other}", "images.tsv"),
        labels=RESULTS.comparison("{other}", "labels.tsv"),
        beside=RESULTS.comparison("{other}", "metrics.tsv"),
        figure=report(
            RESULTS.comparison("{other}", "images.png"),
            caption="../captions/comparison.rst",
            category="Comparison",
            labels={"with": "{other}"},
        ),
    log:
        RESULTS.log("compare/{other}"),
    conda:
        ENVS["map"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10 + IMAGES // 500),
        disk_mb=100,
    params:
        asked=asked_of("compare/{other}"),
    message:
        "Comparing with {wildcards.other}"
    script:
        "../scripts/compare.py"
