# A network in a BSON file, made of plain arrays.
#
# What is written is Flux's own `state`, which any Flux session loads again, and the description:
#
#     Flux.loadmodel!(model, BSON.load("cnn28.bson")[:state])
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
        (described, layer) in zip(network.description.layers, layers(network))
    ),
)

"As [`load_model`](@ref), of a BSON file of this project."
function load_bson(path)
    content = read_bson(path)
    get(content, :format, "") == BSON_FORMAT && haskey(content, :description) ||
        throw(StudyError("$path: this is not a model file of promptflux (its format is not $(repr(BSON_FORMAT)))."))
    description = Description(content[:description], path)
    weights = check_weights(state_weights(path, content, description), description, path)
    return description, weights, checked_digest(weights, get(content, :weights_sha256, ""), path)
end

"""
    load_state(path, description) -> weights

The weights in a BSON file in which a Flux user has stored `Flux.state(model)`, for a chain with the
layers of `description`. Throws a [`StudyError`](@ref) that names the parameter if a shape does not
fit, and if the file holds anything but plain data.
"""
load_state(path, description::Description) =
    check_weights(state_weights(path, read_bson(path), description), description, path)

"The content of a BSON file as plain data."
function read_bson(path)
    try
        return plain(BSON.parse(path))
    catch error     # of any kind: a damaged file can say anything
        error isa InterruptException && rethrow()
        throw(StudyError("$path: the model cannot be read ($(reason(error)))."))
    end
end

"""
    state_weights(path, content, description) -> Weights

Find the state of a chain in the content of a BSON file and name its arrays as `description` does.
"""
function state_weights(path, content, description::Description)
    found = [value for value in values(content) if value isa NamedFields && haskey(Dict(value), :layers)]
    length(found) == 1 ||
        throw(
            StudyError(
                "$path: $(length(found)) entries of the file are the state of a Flux chain; it should be " *
                "one, such as `BSON.@save \"model.bson\" state=Flux.state(model)` writes."
            )
        )
    states = Dict(only(found))[:layers]
    length(states) == length(description.layers) ||
        throw(
            StudyError(
                "$path: the model has $(length(states)) layers, and $(description.source) has $(length(description.layers))."
            )
        )
    return weights_of(Network(description), map(plain_state, states))
end

plain_state(state) = name -> nothing
plain_state(state::Pair) = plain_state(last(state))
plain_state(state::Vector{Pair{Symbol,Any}}) = name -> get(Dict(state), name, nothing)

# ---- parsed BSON as plain data ----------------------------------------------------------

const PLAIN_TYPES = Dict("Core.$type" => type for type in (Float16, Float32, Float64, Int32, Int64, Bool))

"The names and values of a named tuple; as a type of its own, each network would be compiled anew."
const NamedFields = Vector{Pair{Symbol,Any}}

"""
    plain(document)

A document of `BSON.parse` as plain Julia data, without calling anything that it names.
BSON.jl writes what BSON itself has no type for as a document with a `tag`. Known here are
arrays of numbers, numbers, tuples (as vectors), named tuples (as [`NamedFields`](@ref)) and
symbols; another tag throws a `Misfit`.
"""
plain(value::Union{Nothing,Bool,Int32,Int64,Float64,String,Vector{UInt8}}) = value
plain(values::Vector{Any}) = Any[plain(value) for value in values]
function plain(document::Dict{Symbol,Any})
    haskey(document, :tag) || return Dict{Symbol,Any}(key => plain(value) for (key, value) in document)
    tag = document[:tag]
    tag == "array" && return plain_array(document[:type], document[:size], document[:data])
    tag == "tuple" && return plain(document[:data])
    tag == "symbol" && return Symbol(document[:name])
    tag == "struct" && return plain_struct(document[:type], document[:data])
    throw(Misfit("it holds a $(repr(tag)), and only arrays, numbers, texts and tuples are taken"))
end

function plain_array(type, size, data)
    T = plain_type(type)
    dims = Tuple(Int.(size))
    sizeof(data) == prod(dims) * sizeof(T) || throw(Misfit("an array of $(times(dims)) numbers is cut short"))
    return copyto!(Array{T}(undef, dims), reinterpret(T, data))
end

function plain_struct(type, data)
    if get(type, :name, []) == ["Core", "NamedTuple"]
        return NamedFields(map(Pair, plain(type[:params][1]), plain(data)))
    end
    return only(reinterpret(plain_type(type), data))
end

function plain_type(type)
    name = join(get(type, :name, ["type without a name"]), '.')
    return get(
        () -> throw(Misfit("it holds a $name, and only arrays, numbers, texts and tuples are taken")),
        PLAIN_TYPES,
        name
    )
end
