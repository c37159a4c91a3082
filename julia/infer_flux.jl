# Create the predictions of a classifier on one batch of tensors, in Flux.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    infer(
        tensors=snakemake.input["tensors"],
        spec=snakemake.input["spec"],
        model=snakemake.input["model"],
        output=snakemake.output[1],
        layers_of=convert(Vector{String}, snakemake.params["layers_of"]),
        threads=snakemake.threads,
    )
end
