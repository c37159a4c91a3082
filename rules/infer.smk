# Tensors to predictions, by one engine or by both, which write the same.
#
# in:  results/tensors/{input}/{batch}.h5, the spec, results/models/{classifier}.h5 or .bson
# out: results/predictions/{classifier}/{engine}/{batch}.h5  logits, probabilities, layer outputs
#      results/predictions/{classifier}/{engine}.tsv         a row an image


rule infer_torch:
    input:
        tensors=tensors_of,
        spec=spec_of,
        weights="results/models/{classifier}.h5",
    output:
        "results/predictions/{classifier}/torch/{batch}.h5",
    log:
        "results/logs/infer_torch/{classifier}/{batch}.log",
    benchmark:
        "results/benchmarks/infer_torch/{classifier}/{batch}.tsv"
    conda:
        ENVS["torch"]
    threads: 2
    resources:
        mem_mb=infer_resource("mem_mb"),
        runtime=infer_resource("runtime"),
        disk_mb=infer_resource("disk_mb"),
        gpu=GPU,
    params:
        layers_of=lambda wildcards: STUDY.chosen_in(wildcards.batch),
    message:
        "Running {wildcards.classifier} on {wildcards.batch} in PyTorch"
    script:
        "../scripts/infer_torch.py"


rule infer_flux:
    input:
        tensors=tensors_of,
        spec=spec_of,
        model="results/models/{classifier}.bson",
    output:
        "results/predictions/{classifier}/flux/{batch}.h5",
    log:
        "results/logs/infer_flux/{classifier}/{batch}.log",
    benchmark:
        "results/benchmarks/infer_flux/{classifier}/{batch}.tsv"
    conda:
        ENVS["julia"]
    threads: FLUX_THREADS
    resources:
        mem_mb=infer_resource("mem_mb"),
        runtime=infer_resource("runtime"),
        disk_mb=infer_resource("disk_mb"),
        gpu=GPU,
    params:
        layers_of=lambda wildcards: STUDY.chosen_in(wildcards.batch),
    message:
        "Running {wildcards.classifier} on {wildcards.batch} in Flux"
    script:
        "../julia/infer_flux.jl"


rule predictions:
    input:
        generated=[f"results/predictions/{{classifier}}/{{engine}}/{batch}.h5" for batch in STUDY.prompts_of],
        own=[
            f"results/predictions/{{classifier}}/{{engine}}/{batch}.h5"
            for batch in STUDY.image_batches
            if batch not in STUDY.prompts_of
        ],
    output:
        report(
            "results/predictions/{classifier}/{engine}.tsv",
            caption="../captions/predictions.rst",
            category="Predictions",
            labels={"classifier": "{classifier}", "what": "table ({engine})"},
        ),
    log:
        "results/logs/predictions/{classifier}_{engine}.log",
    localrule: True
    conda:
        ENVS["preprocess"]
    resources:
        mem_mb=growing(1000),
        runtime=growing(10 + IMAGES // 1000),
        disk_mb=100,
    message:
        "Collecting the predictions of {wildcards.classifier} ({wildcards.engine})"
    script:
        "../scripts/predictions.py"
