# Model files, as scripts/promptflux/classifiers/weights.py writes them.

const MODEL_FORMAT = "promptflux model 1"

"""
    check_weights(weights, description, path)

Throw a [`StudyError`](@ref) with a sentence for each parameter of the network of `description`
that `weights`, read from `path`, lacks or has in another shape, or that has no place in it.
"""
function check_weights(weights, description::Description, path)
    found = Dict(weights)
    wanted = parameter_sizes(description)
    source = description.source
    problems = String[]
    # Shapes are shown as PyTorch and the weights file have them, [O, I, kH, kW].
    for (name, size_wanted) in wanted
        if !haskey(found, name)
            push!(problems, "$path: $name is missing; $source wants it with the shape $(times(reverse(size_wanted))).")
        elseif size(found[name]) != size_wanted
            push!(
                problems,
                "$path: $name has the shape $(times(reverse(size(found[name])))); " *
                "$source wants $(times(reverse(size_wanted)))."
            )
        elseif !all(isfinite, found[name])
            push!(problems, "$path: $name holds values that are not finite (NaN or infinite).")
        end
    end
    for name in setdiff(first.(weights), first.(wanted))
        push!(problems, "$path: $name belongs to no layer of $source.")
    end
    isempty(problems) || throw(StudyError(problems))
    return weights
end

"""
    weights_digest(weights) -> String

A SHA-256 over the weights, the same as `weights_digest` in Python: for each parameter, sorted by
name, its name in UTF-8, a line feed, and its values as little-endian float32 in the C order
of PyTorch's shape, which is the order here in memory.
"""
function weights_digest(weights)
    digest = SHA256_CTX()
    for (name, array) in sort(weights; by=first)
        update!(digest, codeunits("$name\n"))
        GC.@preserve array update!(digest, unsafe_wrap(Array, Ptr{UInt8}(pointer(array)), sizeof(array)))
    end
    return bytes2hex(digest!(digest))
end

"Throw a [`StudyError`](@ref) if `weights` do not have the digest that the file `path` records."
function checked_digest(weights, recorded, path)
    digest = weights_digest(weights)
    digest == recorded ||
        throw(StudyError("$path: the weights do not have the recorded weights_sha256; the file is damaged."))
    return digest
end

"""
    load_model(path) -> (description, weights, digest)

Read a model file, `results/models/{classifier}.h5` or `.bson`; the weights are checked against the
description and against the digest that the file records.
"""
load_model(path) = endswith(path, ".bson") ? load_bson(path) : load_hdf5_model(path)

function load_hdf5_model(path)
    description, weights, recorded = open_hdf5(path, "model", MODEL_FORMAT) do file
        read_description(file, path), read_weights(file), text_attribute(file, "weights_sha256")
    end
    check_weights(weights, description, path)
    return description, weights, checked_digest(weights, recorded, path)
end

"The description in a model file."
load_description(path) =
    endswith(path, ".bson") ? first(load_bson(path)) :
    open_hdf5(file -> read_description(file, path), path, "model", MODEL_FORMAT)

"""
    load_network(path) -> Network

The network of a model file, with its weights.
"""
function load_network(path)
    description, weights, _ = load_model(path)
    return with_weights(description, weights)
end

read_weights(file) = Weights([
    "$layer/$parameter" => Float32.(read(file[layer][parameter]))
    for layer in keys(file) if layer != "description" for parameter in keys(file[layer])
])

function read_description(file, path)
    group = file["description"]
    return Description(
        Fields(
            :name => text_attribute(group, "name"), :digest => text_attribute(file, "description_sha256"),
            :input => read_fields(group["input"]), :layers => read_layers(group),
            :labels => read_texts(group["labels"]),
        ), path)
end

const MOST_DEEP = 7     # blocks inside of each other

function read_layers(group, deep=0)
    deep <= MOST_DEEP ||
        throw(StudyError("$(group.file.filename): its blocks stand more than $MOST_DEEP deep inside of each other."))
    return map(read_texts(group["layer_names"])) do name
        part = group["layers"][name]
        names = read_texts(part["parameter_names"])
        shapes = read_fields(part["parameters"])
        count = haskey(part, "branches") ? length(part["branches"]) : 0
        merge(
            read_fields(part),
            Fields(
                :name => name, :settings => read_fields(part["settings"]),
                :parameter_names => names, :parameter_shapes => [shapes[Symbol(parameter)] for parameter in names],
                :branches => [read_layers(part["branches"][string(number)], deep + 1) for number in 1:count],
            )
        )
    end
end

"""
    save_model(path, description, weights)

Write a model file, which PyTorch's side of the project reads, too; equal content makes equal bytes.
"""
function save_model(path, description::Description, weights)
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", MODEL_FORMAT)
            write_text_attribute(file, "classifier", description.name)
            write_text_attribute(file, "description_sha256", description.digest)
            write_text_attribute(file, "weights_sha256", weights_digest(weights))
            write_description(create_group(file, "description"), fields(description))
            for (name, array) in weights
                write_dataset(file, name, array; obj_track_times=false)
            end
        end
    end
end

function write_description(group, description::Fields)
    write_text_attribute(group, "name", description[:name])
    write_fields(create_group(group, "input"), description[:input])
    write_texts(group, "labels", String[description[:labels]...])
    write_layers(group, description[:layers])
end

function write_layers(group, described)
    write_texts(group, "layer_names", String[layer[:name] for layer in described])
    layers = create_group(group, "layers")
    for layer in described
        part = create_group(layers, layer[:name])
        write_fields(part, Fields(key => layer[key] for key in (:kind, :in_shape, :shape)))
        write_fields(create_group(part, "settings"), layer[:settings])
        write_texts(part, "parameter_names", String[layer[:parameter_names]...])
        write_fields(
            create_group(part, "parameters"),
            Fields(Symbol.(layer[:parameter_names]) .=> layer[:parameter_shapes])
        )
        isempty(get(layer, :branches, [])) && continue
        branches = create_group(part, "branches")
        for (number, branch) in enumerate(layer[:branches])
            write_layers(create_group(branches, string(number)), branch)
        end
    end
end
