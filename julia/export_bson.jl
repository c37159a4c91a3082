# Create the Flux model of a classifier: its state as BSON, and its architecture as a text.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    export_bson(
        weights=snakemake.input["weights"],
        model=snakemake.output["model"],
        architecture=snakemake.output["architecture"],
    )
    # With a remote storage there is no request.
    haskey(snakemake.input, "request") &&
        PromptFlux.record_made(
            snakemake.input["request"],
            [snakemake.output["model"], snakemake.output["architecture"]], [snakemake.input["weights"]])
end
