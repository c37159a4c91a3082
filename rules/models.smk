# Classifier specs and their weights to the files that the engines load.
#
# in:  models/classifiers/{classifier}.yaml and the weights or checkpoint that it names
# out: results/models/{classifier}.h5    weights under the spec's layer names (PyTorch's shapes)
#      results/models/{classifier}.bson  the same for Flux
#      results/models/{classifier}_architecture.txt, ..._architecture_torch.txt


rule import_weights:
    input:
        spec=spec_of,
        weights=weights_of,
    output:
        weights="results/models/{classifier}.h5",
        architecture="results/models/{classifier}_architecture_torch.txt",
    log:
        "results/logs/import_weights/{classifier}.log",
    benchmark:
        "results/benchmarks/import_weights/{classifier}.tsv"
    conda:
        ENVS["torch"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        disk_mb=1000,
    message:
        "Importing the weights of {wildcards.classifier}"
    script:
        "../scripts/import_weights.py"


rule export_bson:
    input:
        spec=spec_of,
        weights="results/models/{classifier}.h5",
    output:
        model="results/models/{classifier}.bson",
        architecture="results/models/{classifier}_architecture.txt",
    log:
        "results/logs/export_bson/{classifier}.log",
    benchmark:
        "results/benchmarks/export_bson/{classifier}.tsv"
    conda:
        ENVS["julia"]
    resources:
        mem_mb=growing(2000),
        runtime=growing(10),
        disk_mb=1000,
    message:
        "Writing the Flux model of {wildcards.classifier}"
    script:
        "../julia/export_bson.jl"
