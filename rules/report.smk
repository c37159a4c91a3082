# Everything that a study made, in one page.
#
# in:  the gallery, predictions, parity tables and figures
# out: results/report.html


rule report:
    input:
        files_of(classifier_sections(STUDY, ENGINES)),
        study="results/study.json",
        gallery="results/figures/gallery.png",
        verified="results/verify.tsv" if STUDY.reference else [],
        tensors=expand(
            "results/tensors/{input_name}/{batch}.h5", input_name=STUDY.inputs, batch=STUDY.image_batches
        ),
    output:
        report="results/report.html",
        times="results/figures/where_the_time_went.png",
    log:
        "results/logs/report.log",
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10 + IMAGES // 100),
        disk_mb=1000,
    params:
        engines=ENGINES,
        engine_note=ENGINE_NOTE,
        classifiers=lambda wildcards: classifier_sections(STUDY, ENGINES),
        benchmarks=lambda wildcards: benchmarks(STUDY, ENGINES),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"
