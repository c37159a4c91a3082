# Classifier specs and their weights to the files that the engines load.
#
# in:  models/classifiers/{classifier}.yaml and the weights or checkpoint that it names
# out: results/models/{classifier}.h5    the network, resolved, and its weights (PyTorch's shapes)
#      results/models/{classifier}.bson  the same for Flux
#      results/models/{classifier}_architecture.txt, ..._architecture_torch.txt
#      results/exports/{classifier}.{format}  the same for others (config: export)


rule import_weights:
    input:
        spec=spec_of,
        layers=layers_of,
        labels=labels_of,
        weights=weights_of,
        request=request_of("import_weights/{classifier}"),
    output:
        model=RESULTS.model("{classifier}", ENGINES["torch"].model),
        architecture=RESULTS.model("{classifier}", ENGINES["torch"].architecture),
    log:
        RESULTS.log("import_weights/{classifier}"),
    benchmark:
        RESULTS.benchmark("import_weights/{classifier}")
    conda:
        ENVS["torch"]
    resources:
        mem_mb=model_resource("mem_mb"),
        runtime=model_resource("runtime"),
        disk_mb=model_resource("disk_mb"),
    params:
        asked=asked_of("import_weights/{classifier}"),
    message:
        "Importing the weights of {wildcards.classifier}"
    script:
        "../scripts/import_weights.py"


rule export_bson:
    input:
        weights=RESULTS.model("{classifier}", ENGINES["torch"].model),
        request=request_of("export_bson/{classifier}"),
    output:
        model=RESULTS.model("{classifier}", ENGINES["flux"].model),
        architecture=RESULTS.model("{classifier}", ENGINES["flux"].architecture),
    log:
        RESULTS.log("export_bson/{classifier}"),
    benchmark:
        RESULTS.benchmark("export_bson/{classifier}")
    conda:
        ENVS["julia"]
    resources:
        mem_mb=model_resource("mem_mb"),
        runtime=model_resource("runtime"),
        disk_mb=model_resource("disk_mb"),
    params:
        asked=asked_of("export_bson/{classifier}"),
    message:
        "Writing the Flux model of {wildcards.classifier}"
    script:
        "../julia/export_bson.jl"


rule export:
    input:
        model=lambda wildcards: RESULTS.model(
            wildcards.classifier, ENGINES[EXPORTS[wildcards.format].of].model
        ),
        request=request_of("export/{classifier}/{format}"),
    output:
        exported=RESULTS.export("{classifier}", "{format}"),
    log:
        RESULTS.log("export/{classifier}/{format}"),
    benchmark:
        RESULTS.benchmark("export/{classifier}/{format}")
    wildcard_constraints:
        format="|".join(EXPORTS),
    conda:
        ENVS["torch"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        disk_mb=1000,
    params:
        asked=asked_of("export/{classifier}/{format}"),
    message:
        "Writing {wildcards.classifier} as {wildcards.format}"
    script:
        "../scripts/export.py"
