# A network in a BSON file, made of plain arrays.
#
# What is written is Flux's own `state`, which any Flux session loads again, and the description:
#
#     state = BSON.load("cnn28.bson")[:state]
#     Flux.loadmodel!(model, state)                              # a chain with the names of the layers
#     Flux.loadmodel!(model, (layers=Tuple(state.layers),))      # one without
#
# What is read is not trusted: `BSON.load` calls what a file tells it to call. So a file is
# only parsed, and of what is in it arrays, numbers, texts and (named) tuples are taken.

const BSON_FORMAT = "promptflux flux model 2"

"""
    save_network(path, network; weights_sha256)

Write the state of `network` and its description as BSON; equal content makes equal bytes.
"""
function save_network(path, network::Network; weights_sha256)
    content = Dict{Symbol,Any}(
        :format => BSON_FORMAT,
        :classifier => network.description.name,
        :weights_sha256 => weights_sha256,
        :flux_version => string(pkgversion(Flux)),
        :description => fields(network.description),
        :state => state(network),
    )
    whole(partial -> bson(partial, content), path)
end

"What `Flux.state` makes of the chain; layer by layer it need not be compiled for each new chain."
state(network::Network) = (
    layers=NamedTuple(
        Symbol(described.name) => Flux.state(layer) for
        (described, layer) in zip(network.description.layers, network.chain.layers)
    ),
)

"As [`load_model`](@ref), of a BSON file of this project."
function load_bson(path)
    content = read_bson(path)
    content isa Dict && get(content, :format, "") == BSON_FORMAT && haskey(content, :description) ||
        throw(StudyError("$path: this is not a model file of promptflux (its format is not $(repr(BSON_FORMAT)))."))
    return reading(path) do
        description = Description(content[:description]::Fields, path)
        check_sizes(description, path)
        weights = check_weights(state_weights(path, content, description), description, path)
        description, weights, checked_digest(weights, get(content, :weights_sha256, ""), path)
    end
end

"""
    check_sizes(description, path)

A network is made as large as its description says. So throw a [`StudyError`](@ref) if a layer's settings say
another size than its parameters have, or all parameters are more than the file at `path` can hold.
"""
function check_sizes(description::Description, path)
    for layer in walk(description)
        torch_sizes(Val(layer.kind), layer) == layer.parameters ||
            throw(Misfit("the parameters of $(plain_text(layer.name)) are not those of its settings and shapes"))
    end
    count = sum(prod(Float64.(size)) for (_, size) in parameter_sizes(description); init=0.0)
    sizeof(Float16) * count <= filesize(path) || throw(Misfit("its network is larger than the file"))
end

"The content of a BSON file as plain data."
read_bson(path) = reading(() -> plain(parse_bson(read(path))), path)

"Call `body()`, which reads the file at `path`; a damaged file can make an error of any kind of it."
function reading(body, path)
    try
        return body()
    catch error
        error isa InterruptException && rethrow()
        if error isa StudyError     # it can repeat what the file says, and not know of which file
            named(problem) = startswith(problem, path) ? problem : "$path: $problem"
            throw(StudyError(map(named, error.problems)))
        end
        why = first(plain_text(replace(reason(error), r"\s+" => " ")), 160)
        throw(StudyError("$path: the model cannot be read ($why)."))
    end
end

"""
    state_weights(path, content, description) -> Weights

The arrays of the state of a chain in the content of a BSON file, named as `description` does.
"""
function state_weights(path, content, description::Description)
    state = get(content, :state, nothing)
    state isa NamedFields && haskey(Dict(state), :layers) || throw(Misfit("it has no state of a chain"))
    network = Network(description)
    states = layer_states(description, description.layers, network.chain, Dict(state)[:layers], path)
    return weights_of(network, states)
end

"""
    layer_states(description, described, chain, states, path)

Of each layer of `chain`, in the order of [`layers`](@ref), a function from a field to its value in `states`, what the
file at `path` has for the layers of the chain.
"""
function layer_states(description, described, chain, states, path)
    states isa Vector || throw(Misfit("the layers of its state are no list"))
    length(states) == length(described) ||
        throw(
            StudyError(
                "$path: the model has $(length(states)) layers, and $(description.source) has $(length(described))."
            )
        )
    found = Any[]
    for (layer, flux, state) in zip(described, chain.layers, map(plain_state, states))
        if !isempty(layer.branches)
            inner = flux isa SkipConnection ? Any[state(:layers)] : state(:layers)
            inner isa Vector && length(inner) >= length(branches(flux)) ||
                throw(Misfit("$(plain_text(layer.name)) has other branches in it"))
            for (branch, part, its) in zip(layer.branches, branches(flux), inner)
                isempty(branch) ||
                    append!(found, layer_states(description, branch, part, plain_state(its)(:layers), path))
            end
        end
        push!(found, state)
    end
    return found
end

plain_state(state) = name -> nothing
plain_state(state::Pair) = plain_state(last(state))
plain_state(state::Vector{Pair{Symbol,Any}}) = name -> get(Dict(state), name, nothing)

# ---- BSON as what BSON.jl wrote ----------------------------------------------------------
#
# `BSON.parse` follows a file however deep it goes, and takes the lengths that it says for true.

const DEEPEST = 100     # containers inside of each other; a state of Flux has some ten

"""
    parse_bson(bytes)

The document in `bytes` as `BSON.parse` gives it, with its references resolved. Throws a `Misfit` if it is not
whole, or deeper than `DEEPEST`.
"""
function parse_bson(bytes)
    io = IOBuffer(bytes)
    document = parse_container(io, Dict{Symbol,Any}(), 1)
    eof(io) || throw(Misfit("there are $(bytesavailable(io)) bytes after its end"))
    return BSON.backrefs!(document)
end

function parse_container(io, container, depth)
    depth <= DEEPEST || throw(Misfit("it is more than $DEEPEST levels deep"))
    read(io, Int32)                                 # the length, which its parts say again
    while (tag = read(io, UInt8)) != 0x00
        key = readuntil(io, '\0')
        put!(container, key, parse_value(io, tag, depth))
    end
    return container
end

put!(document::Dict, key, value) = document[Symbol(key)] = value
put!(values::Vector, key, value) = push!(values, value)

# The types of https://bsonspec.org that BSON.jl writes.
function parse_value(io, tag, depth)
    tag == 0x01 && return read(io, Float64)
    tag == 0x02 && return chop(String(parse_bytes(io, 0)); tail=1) |> String
    tag == 0x03 && return parse_container(io, Dict{Symbol,Any}(), depth + 1)
    tag == 0x04 && return parse_container(io, Any[], depth + 1)
    tag == 0x05 && return parse_bytes(io, 1)        # a byte says of what sort
    tag == 0x08 && return read(io, UInt8) != 0x00
    tag == 0x0a && return nothing
    tag == 0x10 && return read(io, Int32)
    tag == 0x12 && return read(io, Int64)
    throw(Misfit("it holds a value of the type $tag, which BSON.jl does not write"))
end

function parse_bytes(io, skipped)
    count = read(io, Int32)
    skip(io, skipped)
    0 <= count <= bytesavailable(io) || throw(Misfit("it ends before its content does"))
    return read(io, count)
end

# ---- and as plain data -------------------------------------------------------------------

const PLAIN_TYPES = Dict("Core.$type" => type for type in (Float16, Float32, Float64, Int32, Int64, Bool))

"The names and values of a named tuple; as a type of its own, each network would be compiled anew."
const NamedFields = Vector{Pair{Symbol,Any}}

"""
    plain(document)

A document of `BSON.parse` as plain Julia data, without calling anything that it names.
BSON.jl writes what BSON itself has no type for as a document with a `tag`. Known here are
arrays of numbers, numbers, tuples (as vectors), named tuples (as [`NamedFields`](@ref)) and
symbols; another tag throws a `Misfit`. What is referred to in several places is made once.
"""
plain(document) = plain(document, IdDict{Any,Any}())
plain(value::Union{Nothing,Bool,Int32,Int64,Float64,String,Vector{UInt8}}, made) = value

const UNDER_WAY = Ref(0)

function plain(value::Union{Vector{Any},Dict{Symbol,Any}}, made)
    known = get(made, value, nothing)
    known === UNDER_WAY && throw(Misfit("it holds something that is part of itself"))
    known === nothing || return something(known)
    made[value] = UNDER_WAY
    result = made_plain(value, made)
    made[value] = Some(result)
    return result
end

made_plain(values::Vector{Any}, made) = Any[plain(value, made) for value in values]
function made_plain(document::Dict{Symbol,Any}, made)
    haskey(document, :tag) || return Dict{Symbol,Any}(key => plain(value, made) for (key, value) in document)
    tag = document[:tag]
    tag == "array" && return plain_array(document[:type], document[:size], document[:data])
    tag == "tuple" && return plain(document[:data], made)
    tag == "symbol" && return Symbol(document[:name]::String)
    tag == "struct" && return plain_struct(document[:type], document[:data], made)
    refuse(tag isa String ? repr(tag) : "tag that is no text")
end

refuse(what) =
    throw(Misfit("it holds a $(first(plain_text(what), 80)), and only arrays, numbers, texts and tuples are taken"))

function plain_array(type, size, data)
    T = plain_type(type)
    length(size) <= 8 || throw(Misfit("an array has $(length(size)) dimensions"))
    dims = Tuple(Int.(size))
    data isa Vector{UInt8} && all(>=(0), dims) && prod(Float64.(dims)) * sizeof(T) == sizeof(data) ||
        throw(Misfit("an array of $(times(dims)) numbers is cut short"))
    return copyto!(Array{T}(undef, dims), T == Bool ? data .!= 0x00 : reinterpret(T, data))
end

function plain_struct(type, data, made)
    if named_tuple(type)
        names, values = plain(type[:params][1], made), plain(data, made)
        length(names) == length(values) || throw(Misfit("a named tuple has other names than values"))
        return NamedFields(map(Pair, names, values))
    end
    T = plain_type(type)
    data isa Vector{UInt8} && length(data) == sizeof(T) || throw(Misfit("a number is cut short"))
    return T == Bool ? data[1] != 0x00 : only(reinterpret(T, data))
end

named_tuple(type) = type_name(type) == "Core.NamedTuple"

"The name of a type as a file writes it, such as Core.Float32."
function type_name(type)
    parts = type isa Dict ? get(type, :name, []) : []
    return parts isa Vector && !isempty(parts) && all(part -> part isa String, parts) ? join(parts, '.') :
           "type without a name"
end

plain_type(type) = get(() -> refuse(type_name(type)), PLAIN_TYPES, type_name(type))
