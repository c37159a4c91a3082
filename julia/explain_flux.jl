# Create the maps of why a classifier says what it says of some images, in Flux.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    asked = snakemake.params["asked"]
    explain(
        tensors=snakemake.input["tensors"],
        model=snakemake.input["model"],
        output=snakemake.output["explanations"],
        images=convert(Vector{String}, asked["images"]),
        asked_labels=convert(Vector{Int}, asked["asked_labels"]),
        patch=Tuple(reverse(asked["patch"])),
        stride=Tuple(reverse(asked["stride"])),
        micro_batch=asked["micro_batch"],
        kernels=asked["kernels"],
        threads=snakemake.threads,
    )
    # With a remote storage there is no request.
    haskey(snakemake.input, "request") &&
        PromptFlux.record_made(
            snakemake.input["request"],
            [snakemake.output["explanations"]],
            [snakemake.input["tensors"], snakemake.input["model"]]
        )
end
