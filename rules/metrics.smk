# How well each classifier sees what is asked, in numbers.
#
# in:  results/predictions/{classifier}/{engine}/{batch}.h5, and what is asked of each image
# out: results/metrics/{classifier}.tsv  shares and their intervals, of all images and of each variant; what
#      differs between variants, and how far classifiers and engines agree
#      results/figures/{classifier}/reliability.png

METRICS_NEEDS = metrics_needs(STUDY, len(RUNNING))


rule metrics:
    input:
        generated=predictions_by_engine(STUDY.prompts_of),
        own=predictions_by_engine([batch for batch in STUDY.image_batches if batch not in STUDY.prompts_of]),
        truth=[RESULTS.truth(classifier) for classifier in STUDY.classifiers],
        request=request_of("metrics"),
    output:
        tables=report(
            [RESULTS.metrics(classifier) for classifier in STUDY.classifiers],
            caption="../captions/metrics.rst",
            category="Metrics",
        ),
        figures=report(
            [RESULTS.reliability_figure(classifier) for classifier in STUDY.classifiers],
            caption="../captions/reliability.rst",
            category="Metrics",
        ),
    log:
        RESULTS.log("metrics"),
    benchmark:
        RESULTS.benchmark("metrics")
    conda:
        ENVS["map"]
    resources:
        mem_mb=growing(METRICS_NEEDS["mem_mb"]),
        runtime=growing(METRICS_NEEDS["runtime"]),
        disk_mb=METRICS_NEEDS["disk_mb"],
    params:
        asked=asked_of("metrics"),
    message:
        "Counting what is right"
    script:
        "../scripts/metrics.py"
