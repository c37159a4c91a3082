# Everything that a study made, in one page.
#
# in:  the gallery, predictions, parity tables and figures
# out: results/report.html


rule report:
    input:
        files_of(classifier_sections(STUDY, ENGINES)),
        gallery="results/figures/gallery.png",
        images=lambda wildcards: [
            STUDY.source(image) for batch in STUDY.image_batches.values() for image in batch
        ],
        tensors=expand(
            "results/tensors/{input_name}/{batch}.h5", input_name=STUDY.inputs, batch=STUDY.image_batches
        ),
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    conda:
        ENVS["figures"]
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        study=lambda wildcards: {"config": STUDY.config, "engines": ENGINES, "engine_note": ENGINE_NOTE},
        prompts=lambda wildcards: prompt_sections(STUDY),
        classifiers=lambda wildcards: classifier_sections(STUDY, ENGINES),
        benchmarks=lambda wildcards: benchmarks(STUDY, ENGINES),
    message:
        "Writing the report"
    script:
        "../scripts/report.py"
