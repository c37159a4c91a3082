# Create the Flux model of a classifier: its state as BSON, and its architecture as a text.

include(joinpath(snakemake.scriptdir, "activate.jl"))

PromptFlux.job(snakemake.log[1]) do
    export_bson(
        weights=snakemake.input["weights"],
        model=snakemake.output["model"],
        architecture=snakemake.output["architecture"],
    )
end
