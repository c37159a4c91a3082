# Everything that a study made, in one page.
#
# in:  the gallery, predictions, parity tables and figures; the explorer, to which it links
# out: results/report.html


rule report:
    input:
        files_of(classifier_sections(STUDY, RUNNING)),
        study=RESULTS.study,
        gallery=RESULTS.gallery,
        explorer=RESULTS.explorer,
        compared=[file for files in comparison_sections(STUDY).values() for file in files.values()],
        verified=RESULTS.verified if STUDY.reference else [],
        variants=files_of_variants(variants_section(STUDY)),
        images=BROUGHT_IMAGES,
        tensors=[
            RESULTS.tensors(input_name, batch)
            for input_name in STUDY.inputs
            for batch in STUDY.image_batches
        ],
        request=request_of("report"),
    output:
        report=RESULTS.report,
        times=report(RESULTS.times_figure, caption="../captions/times.rst", category="Times"),
    log:
        RESULTS.log("report"),
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10 + IMAGES // 100),
        disk_mb=1000,
    params:
        asked=asked_of("report"),
        classifiers=lambda wildcards, output: classifier_sections(STUDY, RUNNING, Results.of(output.report)),
        benchmarks=lambda wildcards, output: benchmarks(STUDY, RUNNING, Results.of(output.report)),
        comparisons=lambda wildcards, output: comparison_sections(STUDY, Results.of(output.report)),
        variants_section=lambda wildcards, output: variants_section(STUDY, Results.of(output.report)),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"
