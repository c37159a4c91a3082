# Why the classifiers say what they say: of single images, and what their channels do over all of them.
#
# in:  results/tensors/{input}/{batch}.h5, results/models/{classifier}.h5 or .bson, for the images of `explain.images`
# out: results/explanations/{classifier}/maps/{engine}/{batch}.h5  where covering the image changes the answer, and Grad-CAM
# in:  results/explanations/{classifier}/activations/{engine}/{batch}.h5, which inference writes
# out: results/explanations/{classifier}/activations.tsv           what each channel gives over all images
#      results/figures/{classifier}/activations.png                which of them are dead


for engine in ENGINES.values():

    rule:
        name:
            engine.explain
        input:
            tensors=tensors_of,
            model=RESULTS.model("{classifier}", engine.model),
            request=request_of(f"{engine.explain}/{{classifier}}/{{batch}}"),
        output:
            explanations=RESULTS.explanations("{classifier}", engine.name, "{batch}"),
        log:
            RESULTS.log(f"{engine.explain}/{{classifier}}/{{batch}}"),
        benchmark:
            RESULTS.benchmark(f"{engine.explain}/{{classifier}}/{{batch}}")
        wildcard_constraints:
            batch="|".join(map(re.escape, EXPLAINED)) or "(?!)",
        conda:
            ENVS[engine.environment]
        threads: STUDY.config["inference"]["threads"]
        resources:
            mem_mb=explain_resource("mem_mb"),
            runtime=explain_resource("runtime"),
            disk_mb=explain_resource("disk_mb"),
            gpu=GPU,
        params:
            script=engine.explains,
            asked=asked_of(f"{engine.explain}/{{classifier}}/{{batch}}"),
        message:
            f"Asking {{wildcards.classifier}} why, on {{wildcards.batch}} in {engine.title}"
        script:
            "../{params.script}"  # a name of the loop would be that of its last turn


rule activations:
    input:
        batches=[RESULTS.activations("{classifier}", FIGURE_ENGINE, batch) for batch in STUDY.image_batches],
        model=RESULTS.model("{classifier}", ENGINES["torch"].model),
        request=request_of("activations/{classifier}"),
    output:
        table=RESULTS.activations_table("{classifier}"),
        figure=report(
            RESULTS.activations_figure("{classifier}"),
            caption="../captions/activations.rst",
            category="Predictions",
            labels={"classifier": "{classifier}", "what": "channels over all images"},
        ),
    log:
        RESULTS.log("activations/{classifier}"),
    localrule: True
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
        disk_mb=100,
    params:
        asked=asked_of("activations/{classifier}"),
    message:
        "Looking for dead channels in {wildcards.classifier}"
    script:
        "../scripts/activations.py"
