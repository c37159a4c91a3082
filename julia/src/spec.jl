# The classifier spec: a CNN in a YAML file, from which every engine builds the same network.

"""
How a classifier wants its images.

`mean` and `std` hold one number a channel, for values in 0..1. `fit` is `"crop"`, `"pad"`
or `"stretch"`; `filter` is one of the keys of [`FILTERS`](@ref) or `"nearest"`.
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
end

channel_count(input::InputSpec) = input.channels == "gray" ? 1 : 3

"The size (width, height, channels) of an image's tensor."
Base.size(input::InputSpec) = (input.width, input.height, channel_count(input))

"""
One layer of a spec.

`name` is its kind and its running number among that kind, such as `conv1`. `settings` holds
all of them, defaults filled in and sizes as (width, height). `insize` and `outsize` are what
it takes and gives for one image, (width, height, channels) or (outputs,).
"""
struct LayerSpec
    name::String
    kind::String
    settings::Dict{String,Any}
    insize::Dims
    outsize::Dims
end

"A classifier spec, read and checked. `weights` is the mapping of the file."
struct Spec
    name::String
    path::String
    input::InputSpec
    layers::Vector{LayerSpec}
    labels::Vector{String}
    weights::Dict{String,Any}
end

# Every layer kind with its settings' defaults; `missing` marks what has none, `nothing` a
# stride that is the kernel if nothing is said.
const DEFAULTS = Dict{String,Dict{String,Any}}(
    "conv" => Dict("out" => missing, "kernel" => missing, "stride" => 1, "padding" => 0, "dilation" => 1,
                   "groups" => 1, "bias" => true, "activation" => "identity"),
    "batchnorm" => Dict("eps" => 1e-5, "activation" => "identity"),
    "maxpool" => Dict("kernel" => missing, "stride" => nothing, "padding" => 0),
    "meanpool" => Dict("kernel" => missing, "stride" => nothing, "padding" => 0),
    "dropout" => Dict("p" => missing),
    "flatten" => Dict(),
    "dense" => Dict("out" => missing, "activation" => "identity"),
    "relu" => Dict(),
    "gelu" => Dict(),
    "sigmoid" => Dict(),
    "tanh" => Dict(),
    "leaky_relu" => Dict("slope" => 0.01),
    "identity" => Dict(),
    "softmax" => Dict(),
)

# What the value of a layer means where it is not a mapping: `maxpool: 2` is `maxpool: {kernel: 2}`.
const SHORTHAND = Dict("maxpool" => "kernel", "meanpool" => "kernel", "dense" => "out", "dropout" => "p")

# Half a sentence on a layer that does not fit; `layer_specs` says which layer.
struct Misfit <: Exception
    reason::String
end

"""
    load_spec(path) -> Spec

Read the classifier spec `path` and work out the size of every layer's output. Throws a
[`StudyError`](@ref) if a layer is unknown or does not fit the one before.

The workflow checks a spec against its schema before it starts a job; here only what is
needed to build the network is checked again.
"""
function load_spec(path)
    isfile(path) || throw(StudyError("$path: there is no such classifier spec."))
    content = try
        YAML.load_file(path)
    catch error
        error isa Union{YAML.ParserError,YAML.ScannerError,YAML.ConstructorError} || rethrow()
        throw(StudyError("$path: this is not YAML ($(first(split(sprint(showerror, error), '\n'))))."))
    end
    for key in ("input", "layers", "labels", "weights")
        content isa AbstractDict && haskey(content, key) ||
            throw(StudyError("$path: a classifier spec is a mapping with the keys input, layers, labels and weights."))
    end
    input = input_spec(path, content["input"])
    layers = layer_specs(path, content["layers"], size(input))
    labels = String.(content["labels"])
    outsize = last(layers).outsize
    outsize == (length(labels),) ||
        throw(StudyError("$path: labels has $(length(labels)) names, and the network has $(times(outsize)) outputs " *
                         "($(last(layers).name))."))
    return Spec(first(splitext(basename(path))), path, input, layers, labels, content["weights"])
end

function input_spec(path, name::AbstractString)
    found = match(r"^(gray|rgb)([1-9]\d{0,3})$", name)
    found === nothing &&
        throw(StudyError("$path: the input $name has no size in its name; write gray28 or rgb224, or a mapping."))
    return input_spec(path, Dict("name" => name, "channels" => found[1], "size" => parse(Int, found[2])))
end

function input_spec(path, entry::AbstractDict)
    for key in ("name", "size", "channels")
        haskey(entry, key) || throw(StudyError("$path: input has no $key."))
    end
    channels = entry["channels"]
    channels in ("gray", "rgb") || throw(StudyError("$path: input.channels is $channels; it is gray or rgb."))
    width, height = width_height(entry["size"])
    count = channels == "gray" ? 1 : 3
    # An empty list is a setting that was left out.
    per_channel(key, default) = isempty(get(entry, key, [])) ? fill(default, count) : Float32.(entry[key])
    mean, std = per_channel("mean", 0f0), per_channel("std", 1f0)
    length(mean) == length(std) == count ||
        throw(StudyError("$path: input.mean and input.std need $count numbers for $channels images."))
    return InputSpec(entry["name"], width, height, channels, get(entry, "fit", "crop"),
                     get(entry, "filter", "bilinear"), mean, std)
end

"The layers of the file, each with the sizes that the layers before give it."
function layer_specs(path, entries, insize::Dims)
    layers = LayerSpec[]
    numbers = Dict{String,Int}()
    for (index, entry) in enumerate(entries)
        kind, settings = layer_settings(path, index, entry)
        numbers[kind] = get(numbers, kind, 0) + 1
        name = "$kind$(numbers[kind])"
        outsize = try
            kind == "softmax" && index < length(entries) && throw(Misfit("softmax must be the last layer"))
            output_size(kind, settings, insize)
        catch error
            error isa Misfit || rethrow()
            throw(StudyError("$path: $name (layers[$(index - 1)]) gets $(times(insize)); $(error.reason)."))
        end
        push!(layers, LayerSpec(name, kind, settings, insize, outsize))
        insize = outsize
    end
    return layers
end

function layer_settings(path, index, entry)
    kind, given = entry isa AbstractDict && length(entry) == 1 ? first(entry) : (entry, Dict())
    defaults = get(DEFAULTS, kind, nothing)
    defaults === nothing &&
        throw(StudyError("$path: layers[$(index - 1)] is $entry; a layer is one of $(join(sort!(collect(keys(DEFAULTS))), ", "))."))
    given isa AbstractDict || (given = Dict(get(SHORTHAND, kind, "") => given))
    for key in keys(given)
        haskey(defaults, key) || throw(StudyError("$path: layers[$(index - 1)], $kind, has no setting $(repr(key))."))
    end
    settings = merge(defaults, given)
    for (key, value) in settings
        value === missing && throw(StudyError("$path: layers[$(index - 1)], $kind, has no $key."))
    end
    haskey(settings, "stride") && settings["stride"] === nothing && (settings["stride"] = settings["kernel"])
    for key in ("kernel", "stride", "padding", "dilation")
        haskey(settings, key) && (settings[key] = width_height(settings[key]))
    end
    return kind, settings
end

# The spec writes sizes as N or [height, width], Flux wants (width, height).
width_height(size::Integer) = (Int(size), Int(size))
width_height(size::AbstractVector) = (Int(size[2]), Int(size[1]))

"What a layer makes of `insize`; throws a `Misfit` with half a sentence if it does not fit."
function output_size(kind, settings, insize::Dims)
    if kind in ("dense", "softmax")
        length(insize) == 1 || throw(Misfit("$kind takes a vector, so put `- flatten` before it"))
        return kind == "dense" ? (Int(settings["out"]),) : insize
    end
    kind == "flatten" && return (prod(insize),)
    kind in ("conv", "maxpool", "meanpool") || return insize

    length(insize) == 3 ||
        throw(Misfit("$kind takes maps of width × height × channels, so put it before `- flatten`"))
    channels = insize[3]
    kernel, stride, padding = settings["kernel"], settings["stride"], settings["padding"]
    dilation = get(settings, "dilation", (1, 1))
    if kind == "conv"
        outputs, groups = settings["out"], settings["groups"]
        all(iszero, (channels, outputs) .% groups) ||
            throw(Misfit("its $channels input and $outputs output channels cannot be divided into $groups groups"))
        channels = Int(outputs)
    end
    # The formula of PyTorch's Conv2d and MaxPool2d, and of Flux's Conv and MaxPool.
    reach = @. dilation * (kernel - 1) + 1
    room = @. insize[1:2] + 2padding
    all(reach .<= room) ||
        throw(Misfit("its kernel covers $(times(reach)) pixels, more than the $(times(room)) there are with the padding"))
    return (((room .- reach) .÷ stride .+ 1)..., channels)
end

"A size as people write it: 3×3×16."
times(size) = join(size, "×")
