# The two engines, compared layer by layer.
#
# in:  results/predictions/{classifier}/{flux,torch}/{batch}.h5
# out: results/parity/{classifier}.tsv and .png; more than 1e-5 of a layer's largest value, or 1e-4 in a probability, fails the run


rule parity:
    input:
        flux=[f"results/predictions/{{classifier}}/flux/{batch}.h5" for batch in STUDY.image_batches],
        torch=[f"results/predictions/{{classifier}}/torch/{batch}.h5" for batch in STUDY.image_batches],
    output:
        table="results/parity/{classifier}.tsv",
        figure=report(
            "results/parity/{classifier}.png",
            caption="../captions/parity.rst",
            category="Flux against PyTorch",
            labels={"classifier": "{classifier}"},
        ),
    log:
        "results/logs/parity/{classifier}.log",
    benchmark:
        "results/benchmarks/parity/{classifier}.tsv"
    conda:
        ENVS["figures"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10 + IMAGES // 200),
        disk_mb=100,
    message:
        "Comparing Flux with PyTorch on {wildcards.classifier}"
    script:
        "../scripts/parity.py"
