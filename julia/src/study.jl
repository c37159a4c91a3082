# A finished study in Julia; the other half of scripts/promptflux/opened/.

"""
    StudyArray

An array of N images in the HDF5 files of a study, in the order of Flux: `size(array)` is (..., N). What is asked for is
read, and nothing else: `array["forest_1"]` and `array[1]` are one image, `array[["forest_1", "sea_2"]]`,
`array[2:8]` and `array[:]` several. `array.names` has the images. No file stays open.
"""
struct StudyArray
    what::String
    dataset::String
    files::Vector{String}
    names::Vector{String}
    places::Dict{String,Tuple{Int,Int}}
    size::Dims
end

Base.size(array::StudyArray) = array.size
Base.length(array::StudyArray) = length(array.names)
Base.lastindex(array::StudyArray) = length(array)
Base.show(io::IO, array::StudyArray) = print(io, "$(array.what): Float32 $(times(array.size)), read where asked")

function study_array(what, dataset, names, files)
    found, places, sizes = String[], Dict{String,Tuple{Int,Int}}(), Dims[]
    for (part, file) in enumerate(files)
        reading_hdf5(file) do opened
            push!(sizes, size(opened[dataset]))
            for (row, name) in enumerate(read_texts(opened[names]))
                push!(found, name)
                places[name] = (part, row)
            end
        end
    end
    return StudyArray(what, dataset, files, found, places, (first(sizes)[1:end-1]..., length(found)))
end

Base.getindex(array::StudyArray, name::AbstractString) = selectdim(array[[name]], length(array.size), 1) |> copy
Base.getindex(array::StudyArray, place::Integer) = array[array.names[place]]
Base.getindex(array::StudyArray, places::Union{Colon,AbstractVector{<:Integer}}) = array[array.names[places]]

function Base.getindex(array::StudyArray, names::AbstractVector{<:AbstractString})
    unknown = filter(name -> !haskey(array.places, name), names)
    isempty(unknown) || throw(KeyError(first(unknown)))
    values = Array{Float32}(undef, array.size[1:end-1]..., length(names))
    parts = [first(array.places[name]) for name in names]
    for part in unique(parts)
        reading_hdf5(array.files[part]) do file
            dataset = file[array.dataset]
            for place in findall(==(part), parts)
                row = last(array.places[names[place]])
                selectdim(values, ndims(values), place) .= dataset[ntuple(_ -> :, ndims(dataset) - 1)..., row]
            end
        end
    end
    return values
end

"Call `body(file)`; what a damaged file makes of it is a [`StudyError`](@ref)."
function reading_hdf5(body, path)
    try
        open_hdf5(body, path, "HDF5", TENSORS_FORMAT, PREDICTIONS_FORMAT)
    catch error
        error isa StudyError && rethrow()
        throw(
            StudyError("$path: it is damaged or of another version ($(first(split(sprint(showerror, error), '\n')))).")
        )
    end
end

const NamedArrays = Dict{String,StudyArray}
const OfEngines{T} = Dict{String,Dict{String,T}}

"""
    FinishedStudy

What [`open_study`](@ref) gives: `folder`, of the results; `images`, a row for each, (; image, sha256, height, width, mode,
problem); `predictions`, a row for each classifier, engine and image, (; classifier, engine, image, predicted,
confidence); and arrays, by the names that Python's `promptflux.open_study` has: `tensors[input]`, `logits[classifier][engine]`,
`probabilities[classifier][engine]`, `layers[classifier][engine][layer]`, `samples[classifier][engine][layer]`; `labels`
of each classifier. Rows are tables to DataFrames.jl and the like.
"""
struct FinishedStudy
    folder::String
    images::Vector{<:NamedTuple}
    predictions::Vector{<:NamedTuple}
    labels::Dict{String,Vector{String}}
    tensors::NamedArrays
    logits::OfEngines{StudyArray}
    probabilities::OfEngines{StudyArray}
    layers::OfEngines{NamedArrays}
    samples::OfEngines{NamedArrays}
end

Base.show(io::IO, study::FinishedStudy) =
    print(
        io,
        "study $(study.folder): $(length(study.images)) images, seen by $(join(sort!(collect(keys(study.labels))), ", "))"
    )

const RECORDS = ("study.json", "manifest.sha256", "batches.tsv")

"""
    open_study(folder = "results")

The finished study of a results folder, or of the folder that has one named `results`: a [`FinishedStudy`](@ref). Throws a
[`StudyError`](@ref) for a folder that is no study, for one that is not finished, and for damaged files.
"""
function open_study(folder="results")
    isdir(folder) || throw(StudyError("$folder: the results folder is not there; name that of a finished run."))
    own = any(name -> isfile(joinpath(folder, name)), RECORDS)
    results = !own && isdir(joinpath(folder, "results")) ? joinpath(folder, "results") : String(folder)
    there(name) = isfile(joinpath(results, name))
    any(there, RECORDS) || isdir(joinpath(results, "made")) ||
        throw(StudyError("$folder: there are no results of a study in this folder; name the results folder of a run."))
    need(names) =
        all(there, names) || throw(
            StudyError(
                "$results: the study is not finished: $(join(Iterators.take(filter(!there, names), 8), ", ")) " *
                "missing; run snakemake there again."
            )
        )
    need(collect(RECORDS))
    batches = unique(first.(study_rows(joinpath(results, "batches.tsv"), ["batch", "image"])))
    tables = Dict{String,Vector{String}}()
    for line in eachline(joinpath(results, "manifest.sha256"))
        found = match(r"^([0-9a-f]{64})  predictions/([A-Za-z0-9_-]+)/([A-Za-z0-9_-]+)\.tsv$", line)
        found === nothing && continue
        name = "predictions/$(found[2])/$(found[3]).tsv"
        need([name])
        sha256_of_file(joinpath(results, name)) == found[1] || throw(
            StudyError(
                "$results: the study is not finished, or its files were changed: $name is not what manifest.sha256 says; " *
                "run snakemake there again."
            )
        )
        push!(get!(tables, found[2], String[]), found[3])
    end
    need(["models/$classifier.h5" for classifier in keys(tables)])
    descriptions = Dict(name => load_description(joinpath(results, "models", "$name.h5")) for name in keys(tables))
    inputs = unique(description.input.name for description in values(descriptions))
    of_batches(folder) = ["$folder/$batch.h5" for batch in batches]
    files(folder) = (need(of_batches(folder)); joinpath.(results, of_batches(folder)))
    engines(make) = Dict(name => Dict(engine => make(name, engine) for engine in of) for (name, of) in tables)
    outputs(what) =
        engines() do name, engine
            study_array("$what of $name in $engine", what, "names", files("predictions/$name/$engine"))
        end
    tensors = NamedArrays(
        input => study_array("tensors $input", "images", "names", files("tensors/$input")) for input in inputs
    )
    return FinishedStudy(
        results,
        reduce(vcat, image_rows.(files("tensors/$(first(inputs))"))),
        [
            row for (name, of) in sort!(collect(tables)) for engine in of for
            row in prediction_rows(results, name, engine)
        ],
        Dict(name => collect(String, description.labels) for (name, description) in descriptions),
        tensors,
        outputs("logits"),
        outputs("probabilities"),
        engines((name, engine) -> layer_arrays("layers", name, engine, files("predictions/$name/$engine"))),
        engines((name, engine) -> layer_arrays("samples", name, engine, files("predictions/$name/$engine"))),
    )
end

"The arrays of the layers that a group of predictions files holds; none if no image was chosen."
function layer_arrays(group, classifier, engine, files)
    files = filter(file -> reading_hdf5(opened -> length(opened["layer_images"]) > 0, file), files)
    isempty(files) && return NamedArrays()
    names = reading_hdf5(opened -> filter(in(keys(opened[group])), read_texts(opened["layer_names"])), first(files))
    return NamedArrays(
        name => study_array("$name of $classifier in $engine", "$group/$name", "layer_images", files) for name in names
    )
end

function image_rows(path)
    reading_hdf5(path) do file
        sizes = read(file["source_size"])
        texts(name) = read_texts(file[name])
        columns = zip(texts("names"), texts("source_sha256"), eachcol(sizes), texts("source_mode"), texts("problems"))
        [
            (; image, sha256, height=Int(size[1]), width=Int(size[2]), mode, problem) for
            (image, sha256, size, mode, problem) in columns
        ]
    end
end

"The rows of a table; `columns` are its first ones."
function study_rows(path, columns)
    header, rows... = split.(eachline(path), '\t')
    header[1:min(end, length(columns))] == columns && all(row -> length(row) == length(header), rows) ||
        throw(StudyError("$path: this is not a table of the columns $(join(columns, ", ")), or it is damaged."))
    return rows
end

function prediction_rows(results, classifier, engine)
    path = joinpath(results, "predictions", classifier, "$engine.tsv")
    variants = startswith(readline(path), "image\tvariant\t")
    columns = ["image", (variants ? ["variant"] : [])..., "prompt", "predicted", "confidence"]
    return [
        (;
            classifier,
            engine,
            image=String(row[1]),
            predicted=String(row[3+variants]),
            confidence=parse(Float64, row[4+variants])
        )
        for row in study_rows(path, columns)
    ]
end
