# Tensors to predictions, by each engine, which all write the same.
#
# in:  results/tensors/{input}/{batch}.h5, results/models/{classifier}.h5 or .bson
# out: results/predictions/{classifier}/{engine}/{batch}.h5  logits, probabilities, layer outputs
#      results/explanations/{classifier}/activations/{engine}/{batch}.h5  of one engine, see rules/explain.smk
#      results/predictions/{classifier}/{engine}.tsv         one row per image


for engine in ENGINES.values():

    rule:
        name:
            engine.stage
        input:
            tensors=tensors_of,
            model=RESULTS.model("{classifier}", engine.model),
            request=request_of(f"{engine.stage}/{{classifier}}/{{batch}}"),
        output:
            predictions=RESULTS.predictions("{classifier}", engine.name, "{batch}"),
            activations=(
                RESULTS.activations("{classifier}", engine.name, "{batch}")
                if engine.name == FIGURE_ENGINE
                else []
            ),
        log:
            RESULTS.log(f"{engine.stage}/{{classifier}}/{{batch}}"),
        benchmark:
            RESULTS.benchmark(f"{engine.stage}/{{classifier}}/{{batch}}")
        conda:
            ENVS[engine.environment]
        threads: STUDY.config["inference"]["threads"]
        resources:
            mem_mb=infer_resource("mem_mb"),
            runtime=infer_resource("runtime"),
            disk_mb=infer_resource("disk_mb"),
            gpu=GPU,
        params:
            script=engine.script,
            asked=asked_of(f"{engine.stage}/{{classifier}}/{{batch}}"),
        message:
            f"Running {{wildcards.classifier}} on {{wildcards.batch}} in {engine.title}"
        script:
            "../{params.script}"  # a name of the loop would be that of its last turn


rule predictions:
    input:
        generated=[RESULTS.predictions("{classifier}", "{engine}", batch) for batch in STUDY.prompts_of],
        own=[
            RESULTS.predictions("{classifier}", "{engine}", batch)
            for batch in STUDY.image_batches
            if batch not in STUDY.prompts_of
        ],
        request=request_of("predictions/{classifier}/{engine}"),
    output:
        table=report(
            RESULTS.predictions_table("{classifier}", "{engine}"),
            caption="../captions/predictions.rst",
            category="Predictions",
            labels={"classifier": "{classifier}", "what": "table ({engine})"},
        ),
    log:
        RESULTS.log("predictions/{classifier}_{engine}"),
    localrule: True
    conda:
        ENVS["preprocess"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10 + IMAGES // 1000),
        disk_mb=100,
    params:
        asked=asked_of("predictions/{classifier}/{engine}"),
    message:
        "Collecting the predictions of {wildcards.classifier} ({wildcards.engine})"
    script:
        "../scripts/predictions.py"
