# Each engine compared with the reference, layer by layer.
#
# in:  results/predictions/{classifier}/{engine}/{batch}.h5, results/explanations/{classifier}/maps/{engine}/{batch}.h5
# out: results/parity/{classifier}/{engine}.tsv and .png; in one step more than 1e-5 of a layer's largest value, or 1e-4
#      in a probability, fails the run


rule parity:
    input:
        predictions=[RESULTS.predictions("{classifier}", "{engine}", batch) for batch in STUDY.image_batches],
        reference=[
            RESULTS.predictions("{classifier}", REFERENCE.name, batch) for batch in STUDY.image_batches
        ],
        explanations=[RESULTS.explanations("{classifier}", "{engine}", batch) for batch in EXPLAINED],
        reference_explanations=[
            RESULTS.explanations("{classifier}", REFERENCE.name, batch) for batch in EXPLAINED
        ],
        request=request_of("parity/{classifier}/{engine}"),
    output:
        table=RESULTS.parity_table("{classifier}", "{engine}"),
        figure=report(
            RESULTS.parity_figure("{classifier}", "{engine}"),
            caption="../captions/parity.rst",
            category="Engines compared",
            labels={"classifier": "{classifier}", "engine": "{engine}"},
        ),
    log:
        RESULTS.log("parity/{classifier}/{engine}"),
    benchmark:
        RESULTS.benchmark("parity/{classifier}/{engine}")
    wildcard_constraints:
        engine="|".join(name for name in ENGINES if name != REFERENCE.name),
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10 + IMAGES // 200),
        disk_mb=100,
    params:
        asked=asked_of("parity/{classifier}/{engine}"),
    message:
        f"Comparing {{wildcards.engine}} with {REFERENCE.name} on {{wildcards.classifier}}"
    script:
        "../scripts/parity.py"
