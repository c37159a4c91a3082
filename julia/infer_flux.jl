# Create the predictions of a classifier on one batch of tensors, in Flux.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    infer(
        tensors=snakemake.input["tensors"],
        model=snakemake.input["model"],
        output=snakemake.output["predictions"],
        layers_of=convert(Vector{String}, snakemake.params["asked"]["layers_of"]),
        layers=convert(Vector{String}, snakemake.params["asked"]["layers"]),
        micro_batch=snakemake.params["asked"]["micro_batch"],
        kernels=snakemake.params["asked"]["kernels"],
        threads=snakemake.threads,
    )
    # With a remote storage there is no request.
    haskey(snakemake.input, "request") &&
        PromptFlux.record_made(
            snakemake.input["request"],
            [snakemake.output["predictions"]],
            [snakemake.input["tensors"], snakemake.input["model"]]
        )
end
