# Loads the package PromptFlux from this folder, for a script that Julia was started with alone.
#
# Snakemake runs `julia FILE` on a copy of a script, without --project; and the Julia of conda
# sets JULIA_PROJECT and JULIA_LOAD_PATH to an environment of its own. So the project is chosen
# here, by where this file is. "@v#.#" lets CUDA be found in the user's own environment.

Base.set_active_project(joinpath(@__DIR__, "Project.toml"))
copy!(LOAD_PATH, ["@", "@v#.#", "@stdlib"])

# What Julia compiles goes to its first depot. That of an environment which a group shares, or in a
# container, may not be writable; then the user's own comes first.
let writable(depot) =
        try
            mkpath(depot)
            rm(first(mktemp(depot; cleanup=false)))
            true
        catch
            false
        end
    places = [DEPOT_PATH; joinpath(homedir(), ".julia")]
    place = findfirst(writable, places)
    place == 1 || pushfirst!(DEPOT_PATH, place === nothing ? mktempdir() : places[place])
end

using TOML: TOML

let install = "julia --project=$(repr(@__DIR__)) -e 'using Pkg; Pkg.instantiate()'"
    fail(problem) = (println(stderr, "error: $problem"); exit(1))
    VERSION >= v"1.10" || fail("this is Julia $VERSION; get 1.10 or newer from https://julialang.org/downloads")
    for package in keys(TOML.parsefile(Base.active_project())["deps"])
        Base.find_package(package) === nothing && fail("Julia's package $package is not installed; run: $install")
    end
end

using PromptFlux

@isdefined(snakemake) && PromptFlux.claim_gpu(get(snakemake.resources, "gpu", 0))

# The GPU is used where CUDA.jl is installed; the project itself does without.
if Base.find_package("CUDA") !== nothing && Base.find_package("cuDNN") !== nothing
    using CUDA, cuDNN
end
