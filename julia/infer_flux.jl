# Create the predictions of a classifier on one batch of tensors, in Flux.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    infer(
        tensors=snakemake.input["tensors"],
        model=snakemake.input["model"],
        output=snakemake.output["predictions"],
        layers_of=convert(Vector{String}, snakemake.params["layers_of"]),
        micro_batch=snakemake.params["micro_batch"],
        kernels=snakemake.params["kernels"],
        threads=snakemake.threads,
    )
end
