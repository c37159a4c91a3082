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
        images=BROUGHT_IMAGES,
        tensors=expand(
            "results/tensors/{input_name}/{batch}.h5", input_name=STUDY.inputs, batch=STUDY.image_batches
        ),
    output:
        report="results/report.html",
        times=report(
            "results/figures/where_the_time_went.png", caption="../captions/times.rst", category="Times"
        ),
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
        classifiers=lambda wildcards, output: classifier_sections(STUDY, ENGINES, root_of(output.report)),
        benchmarks=lambda wildcards, output: benchmarks(STUDY, ENGINES, root_of(output.report)),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"
