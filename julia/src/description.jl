# The description of a network. Python resolves a classifier spec, with its defaults, sizes and the
# names of its parameters, and writes the result into the model files; here it is only read.

"""
How a classifier wants its images.

`mean` and `std` hold one number per channel, for values in 0..1. `fit` is `"crop"`, `"pad"`
or `"stretch"`; `filter` is one of the keys of [`FILTERS`](@ref) or `"nearest"`. `resize`, if it is
not 0, is what the shorter side gets before the center is cut out.
"""
struct InputSpec
    name::String
    width::Int
    height::Int
    channels::String
    fit::String
    filter::String
    mean::Vector{Float32}
    std::Vector{Float32}
    resize::Int
end

InputSpec(name, width, height, channels, fit, filter, mean, std) =
    InputSpec(name, width, height, channels, fit, filter, mean, std, 0)

channel_count(input::InputSpec) = input.channels == "gray" ? 1 : 3

"The size (width, height, channels) of an image's tensor."
Base.size(input::InputSpec) = (input.width, input.height, channel_count(input))

Base.:(==)(a::InputSpec, b::InputSpec) = all(getfield(a, name) == getfield(b, name) for name in fieldnames(InputSpec))

"""
One layer of a network.

`name` is its kind and its running number among that kind, such as `conv1`; inside of a block after the
block's name, such as `residual3.conv2`. `settings` holds
all of them, sizes as (width, height). `insize` and `outsize` are what it takes and gives for
one image, (width, height, channels) or (outputs,). `parameters` has the names and sizes of its
parameters as HDF5.jl reads them: PyTorch's shapes, reversed. `branches` has, of a block, the layers of
each branch; an empty one hands on what it takes.
"""
struct LayerDescription
    name::String
    kind::Symbol
    settings::Dict{Symbol,Any}
    insize::Dims
    outsize::Dims
    parameters::Vector{Pair{String,Dims}}
    branches::Vector{Vector{LayerDescription}}
end

LayerDescription(name, kind, settings, insize, outsize, parameters) =
    LayerDescription(name, kind, settings, insize, outsize, parameters, [])

"The name of a layer inside of the block that it is in."
own_name(layer::LayerDescription) = last(split(layer.name, '.'))

"All of `layers`, those inside of blocks, too, in the order in which they are computed."
function walk(layers::Vector{LayerDescription})
    all = LayerDescription[]
    for layer in layers
        foreach(branch -> append!(all, walk(branch)), layer.branches)
        push!(all, layer)
    end
    return all
end
walk(description) = walk(description.layers)

"""
A network, resolved. `source` is the file that it was read from, for messages; `digest` the
SHA-256 by which two files are known to describe the same network.
"""
struct Description
    name::String
    source::String
    digest::String
    input::InputSpec
    layers::Vector{LayerDescription}
    labels::Vector{String}
end

"The name `{layer}/{parameter}` and the size of every parameter, in the network's order."
parameter_sizes(description::Description) = Pair{String,Dims}[
    "$(layer.name)/$parameter" => size for layer in walk(description) for (parameter, size) in layer.parameters
]

# Half a sentence on what is wrong with a file; who catches it says which file.
struct Misfit <: Exception
    reason::String
end

reason(error::Misfit) = error.reason
reason(error) = sprint(showerror, error)

"A size as people write it: 3×3×16."
times(size) = join(size, "×")

# ---- as plain data ----------------------------------------------------------------------
#
# `Fields` is what the files hold: names and texts, numbers, lists of numbers, or such fields again.
# Shapes and sizes in it are PyTorch's, [C, H, W] and [height, width].

const Fields = Dict{Symbol,Any}

"A description from its fields; throws a [`StudyError`](@ref) that names `source` if one is missing."
function Description(fields::Fields, source)
    try
        input = fields[:input]
        layers = [LayerDescription(layer) for layer in fields[:layers]]
        return Description(
            fields[:name],
            source,
            fields[:digest],
            InputSpec(input),
            layers,
            convert(Vector{String}, fields[:labels])
        )
    catch error
        error isa Union{KeyError,MethodError,InexactError,TypeError} || rethrow()
        throw(StudyError("$source: the description of the network is damaged ($(reason(error)))."))
    end
end

InputSpec(fields::Fields) = InputSpec(
    fields[:name], fields[:width], fields[:height], fields[:channels], fields[:fit], fields[:filter],
    fields[:mean], fields[:std], get(fields, :resize, 0),
)

LayerDescription(fields::Fields) = LayerDescription(
    fields[:name], Symbol(fields[:kind]),
    Dict{Symbol,Any}(key => setting(value) for (key, value) in fields[:settings]),
    reversed(fields[:in_shape]), reversed(fields[:shape]),
    [name => reversed(shape) for (name, shape) in zip(fields[:parameter_names], fields[:parameter_shapes])],
    [LayerDescription[LayerDescription(inner) for inner in branch] for branch in get(fields, :branches, [])],
)

reversed(shape) = Tuple(Int.(reverse(shape)))

# A list of whole numbers is a size [height, width]; Flux wants (width, height).
setting(value) = value
setting(value::AbstractVector{<:Integer}) = reversed(value)

"The inverse: the fields of a description."
fields(description::Description) = Fields(
    :name => description.name, :digest => description.digest, :input => fields(description.input),
    :layers => Any[fields(layer) for layer in description.layers], :labels => Any[description.labels...],
)
fields(input::InputSpec) = Fields(
    :name => input.name, :width => input.width, :height => input.height, :channels => input.channels,
    :fit => input.fit, :filter => input.filter, :mean => Float64.(input.mean), :std => Float64.(input.std),
    (:resize => input.resize for _ in 1:(input.resize>0))...,
)
fields(layer::LayerDescription) = merge(own_fields(layer),
    isempty(layer.branches) ? Fields() :
    Fields(:branches => Any[Any[fields(inner) for inner in branch] for branch in layer.branches]))
own_fields(layer::LayerDescription) = Fields(
    :name => layer.name, :kind => String(layer.kind),
    :settings =>
        Fields(key => value isa Tuple ? collect(reverse(value)) : value for (key, value) in layer.settings),
    :in_shape => collect(reverse(layer.insize)), :shape => collect(reverse(layer.outsize)),
    :parameter_names => Any[first.(layer.parameters)...],
    :parameter_shapes => Any[collect(reverse(size)) for (_, size) in layer.parameters],
)
