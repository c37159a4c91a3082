# Create the predictions of a classifier on one batch of tensors, in Flux.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    # Of one engine alone.
    counts = !isempty(snakemake.params["asked"]["counted"])
    infer(
        tensors=snakemake.input["tensors"],
        model=snakemake.input["model"],
        output=snakemake.output["predictions"],
        layers_of=convert(Vector{String}, snakemake.params["asked"]["layers_of"]),
        layers=convert(Vector{String}, snakemake.params["asked"]["layers"]),
        activations=counts ? snakemake.output["activations"] : nothing,
        counted=convert(Vector{String}, snakemake.params["asked"]["counted"]),
        micro_batch=snakemake.params["asked"]["micro_batch"],
        kernels=snakemake.params["asked"]["kernels"],
        threads=snakemake.threads,
    )
    # With a remote storage there is no request.
    haskey(snakemake.input, "request") &&
        PromptFlux.record_made(
            snakemake.input["request"],
            [snakemake.output["predictions"]; counts ? [snakemake.output["activations"]] : []],
            [snakemake.input["tensors"], snakemake.input["model"]]
        )
end
