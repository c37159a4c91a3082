# A network's state in a BSON file, made of plain arrays.
#
# What is written is Flux's own `state`, which any Flux session loads again:
#
#     Flux.loadmodel!(model, BSON.load("cnn28.bson")[:state])
#
# What is read is not trusted: `BSON.load` calls what a file tells it to call. So a file is
# only parsed, and of what is in it arrays, numbers, texts and (named) tuples are taken.

const MODEL_FORMAT = "promptflux flux model 1"

"""
    save_network(path, network; weights_sha256)

Write the state of `network` as BSON; equal weights make equal bytes.
"""
function save_network(path, network::Network; weights_sha256)
    content = Dict{Symbol,Any}(
        :format => MODEL_FORMAT,
        :classifier => network.spec.name,
        :weights_sha256 => weights_sha256,
        :flux_version => string(pkgversion(Flux)),
        :state => state(network),
    )
    whole(partial -> bson(partial, content), path)
end

"What `Flux.state` makes of the network's `Chain`; layer by layer it need not be compiled for each new chain."
state(network::Network) = (layers=NamedTuple(zip(layer_names(network.spec), map(Flux.state, network.layers))),)

"""
    load_network(path, spec) -> Network

The network of `spec` with the state in the BSON file `path`: one of this project, or one in
which a Flux user has stored `Flux.state(model)` for a chain with the same layers.
Throws a [`StudyError`](@ref) that names the parameter if a shape does not fit, and if
the file holds anything but plain data.
"""
function load_network(path, spec::Spec)
    weights, digest = load_state(path, spec)
    return with_weights(spec, weights)
end

"The weights in a BSON file, in PyTorch's shapes, and their digest, which is compared with a recorded one."
function load_state(path, spec::Spec)
    content = try
        plain(BSON.parse(path))
    catch error     # of any kind: a damaged file can say anything
        error isa InterruptException && rethrow()
        throw(StudyError("$path: the model cannot be read ($(reason(error)))."))
    end
    weights = check_weights(state_weights(path, content, spec), spec, path)
    digest = weights_digest(weights)
    recorded = get(content, :weights_sha256, digest)
    digest == recorded ||
        throw(StudyError("$path: the weights do not have the recorded weights_sha256; the file is damaged."))
    return weights, digest
end

reason(error::Misfit) = error.reason
reason(error) = sprint(showerror, error)

"""
    state_weights(path, content, spec) -> Weights

Find the state of a chain in the content of a BSON file and name its arrays as `spec` does.
"""
function state_weights(path, content, spec::Spec)
    states = [value for value in values(content) if value isa Fields && haskey(Dict(value), :layers)]
    length(states) == 1 ||
        throw(StudyError("$path: $(length(states)) entries of the file are the state of a Flux chain; it should be " *
                         "one, such as `BSON.@save \"model.bson\" state=Flux.state(model)` writes."))
    layers = Dict(only(states))[:layers]
    length(layers) == length(spec.layers) ||
        throw(StudyError("$path: the model has $(length(layers)) layers, and $(spec.path) has $(length(spec.layers))."))
    return Weights([
        "$(layer.name)/$parameter" => array
        for (layer, state) in zip(spec.layers, layers)
        for (parameter, array) in layer_weights(layer.kind, state isa Pair ? last(state) : state)
    ])
end

# As `torch_weights`, for what Flux.state makes of a layer.
function layer_weights(kind, state)
    fields = state isa Fields ? Dict(state) : Dict{Symbol,Any}()
    field(name) = get(fields, name, nothing)
    kind == "conv" && return float32_arrays("weight" => flipped(field(:weight)), "bias" => field(:bias))
    kind == "dense" && return float32_arrays("weight" => transposed(field(:weight)), "bias" => field(:bias))
    kind == "batchnorm" && return float32_arrays(
        "weight" => field(:γ), "bias" => field(:β), "running_mean" => field(:μ), "running_var" => field(:σ²),
    )
    return float32_arrays()
end

# What is not an array of numbers (`bias=false`) is not a parameter; check_weights misses it if it should be.
float32_arrays(pairs...) =
    Weights([name => convert(Array{Float32}, array) for (name, array) in pairs if array isa Array{<:AbstractFloat}])

flipped(array) = array
flipped(array::Array{<:Any,4}) = reverse(array; dims=(1, 2))
transposed(array) = array
transposed(array::Matrix) = permutedims(array)

# ---- parsed BSON as plain data ----------------------------------------------------------

const PLAIN_TYPES = Dict("Core.$type" => type for type in (Float16, Float32, Float64, Int32, Int64, Bool))

"The names and values of a named tuple; as a type of its own, each network would be compiled anew."
const Fields = Vector{Pair{Symbol,Any}}

"""
    plain(document)

A document of `BSON.parse` as plain Julia data, without calling anything that it names.
BSON.jl writes what BSON itself has no type for as a document with a `tag`. Known here are
arrays of numbers, numbers, tuples (as vectors), named tuples (as [`Fields`](@ref)) and
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
        return Fields(map(Pair, plain(type[:params][1]), plain(data)))
    end
    return only(reinterpret(plain_type(type), data))
end

function plain_type(type)
    name = join(get(type, :name, ["type without a name"]), '.')
    return get(() -> throw(Misfit("it holds a $name, and only arrays, numbers, texts and tuples are taken")), PLAIN_TYPES, name)
end
