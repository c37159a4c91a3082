# Weights between PyTorch's shapes, as they lie in HDF5, and the layers of Flux.
#
# HDF5.jl gives a dataset with its dimensions reversed. What PyTorch has as [O, I, kH, kW] is
# (kW, kH, I, O) here, the layout of Flux.Conv; but PyTorch correlates and Flux.Conv
# convolves, so the kernels are flipped, once, on the way into the layer. A dense weight
# [out, in] is (in, out) here, the transpose of Flux's.

const WEIGHTS_FORMAT = "promptflux weights 1"

"Parameters by their name `{layer}/{parameter}`, as HDF5.jl reads them, and in the network's order."
const Weights = Vector{Pair{String,Array{Float32}}}

"""
    parameter_sizes(spec) -> Vector{Pair{String,Dims}}

The name `{layer}/{parameter}` and the size of every parameter, reversed from PyTorch's.
"""
parameter_sizes(spec::Spec) = Pair{String,Dims}[
    "$(layer.name)/$parameter" => size for layer in spec.layers for (parameter, size) in parameter_sizes(layer)
]

function parameter_sizes(layer::LayerSpec)
    channels = last(layer.insize)
    if layer.kind == "conv"
        kernel = (layer.settings["kernel"]..., channels ÷ layer.settings["groups"], last(layer.outsize))
        return layer.settings["bias"] ? ["weight" => kernel, "bias" => kernel[4:4]] : ["weight" => kernel]
    end
    layer.kind == "dense" && return ["weight" => (channels, only(layer.outsize)), "bias" => layer.outsize]
    layer.kind == "batchnorm" &&
        return [name => (channels,) for name in ("weight", "bias", "running_mean", "running_var")]
    return Pair{String,Dims}[]
end

"""
    weights(network) -> Weights

The parameters of a network in PyTorch's shapes: the inverse of [`with_weights`](@ref).
"""
weights(network::Network) = Weights([
    "$(spec.name)/$parameter" => array
    for (spec, layer) in zip(network.spec.layers, network.layers) for (parameter, array) in torch_weights(layer)
])

torch_weights(layer) = Pair{String,Array{Float32}}[]
function torch_weights(layer::Conv)
    weight = "weight" => reverse(layer.weight; dims=(1, 2))
    return layer.bias === false ? [weight] : [weight, "bias" => layer.bias]
end
torch_weights(layer::Dense) = ["weight" => permutedims(layer.weight), "bias" => layer.bias]
torch_weights(layer::BatchNorm) =
    ["weight" => layer.γ, "bias" => layer.β, "running_mean" => layer.μ, "running_var" => layer.σ²]

"""
    with_weights(spec, weights) -> Network

The network of `spec` with `weights`, which are checked first (see `check_weights`).
"""
function with_weights(spec::Spec, weights)
    network = Network(spec)
    values = Dict(weights)
    for (layer_spec, layer) in zip(spec.layers, network.layers)
        take_weights!(layer, parameter -> values["$(layer_spec.name)/$parameter"])
    end
    return network
end

take_weights!(layer, weight) = layer
function take_weights!(layer::Conv, weight)
    reverse!(copyto!(layer.weight, weight("weight")); dims=(1, 2))
    layer.bias === false || copyto!(layer.bias, weight("bias"))
    return layer
end
function take_weights!(layer::Dense, weight)
    permutedims!(layer.weight, weight("weight"), (2, 1))
    copyto!(layer.bias, weight("bias"))
    return layer
end
function take_weights!(layer::BatchNorm, weight)
    for (array, parameter) in ((layer.γ, "weight"), (layer.β, "bias"), (layer.μ, "running_mean"), (layer.σ², "running_var"))
        copyto!(array, weight(parameter))
    end
    return layer
end

"""
    check_weights(weights, spec, path)

Throw a [`StudyError`](@ref) with a sentence for each parameter of the network of `spec`
that `weights`, read from `path`, lacks or has in another shape, or that has no place in it.
"""
function check_weights(weights, spec::Spec, path)
    found = Dict(weights)
    wanted = parameter_sizes(spec)
    problems = String[]
    # Shapes are shown as PyTorch and the weights file have them, [O, I, kH, kW].
    for (name, size_wanted) in wanted
        if !haskey(found, name)
            push!(problems, "$path: $name is missing; $(spec.path) wants it with the shape $(times(reverse(size_wanted))).")
        elseif size(found[name]) != size_wanted
            push!(problems, "$path: $name has the shape $(times(reverse(size(found[name])))); " *
                            "$(spec.path) wants $(times(reverse(size_wanted))).")
        elseif !all(isfinite, found[name])
            push!(problems, "$path: $name holds values that are not finite (NaN or infinite).")
        end
    end
    for name in setdiff(first.(weights), first.(wanted))
        push!(problems, "$path: $name belongs to no layer of $(spec.path).")
    end
    isempty(problems) || throw(StudyError(problems))
    return weights
end

"""
    weights_digest(weights) -> String

A SHA-256 over the weights, the same as `weights_digest` in scripts/promptflux/network.py:
for each parameter, sorted by name, its name in UTF-8, a line feed, and its values as
little-endian float32 in the C order of PyTorch's shape, which is the order here in memory.
"""
function weights_digest(weights)
    digest = SHA256_CTX()
    for (name, array) in sort(weights; by=first)
        update!(digest, codeunits("$name\n"))
        GC.@preserve array update!(digest, unsafe_wrap(Array, Ptr{UInt8}(pointer(array)), sizeof(array)))
    end
    return bytes2hex(digest!(digest))
end

"""
    load_weights(path, spec) -> (weights, digest)

Read a weights file, check it against `spec`, and compare it with the digest it records.
"""
function load_weights(path, spec::Spec)
    weights, recorded = open_hdf5(path, WEIGHTS_FORMAT, "weights") do file
        names = ["$layer/$parameter" for layer in keys(file) for parameter in keys(file[layer])]
        Weights([name => Float32.(read(file[name])) for name in names]), text_attribute(file, "weights_sha256")
    end
    check_weights(weights, spec, path)
    digest = weights_digest(weights)
    digest == recorded ||
        throw(StudyError("$path: the weights do not have the recorded weights_sha256; the file is damaged."))
    return weights, digest
end

"""
    save_weights(path, weights, classifier)

Write a weights file; equal weights make equal bytes.
"""
function save_weights(path, weights, classifier)
    whole(path) do partial
        h5open(partial, "w") do file
            write_text_attribute(file, "format", WEIGHTS_FORMAT)
            write_text_attribute(file, "classifier", classifier)
            write_text_attribute(file, "weights_sha256", weights_digest(weights))
            for (name, array) in weights
                write_dataset(file, name, array; obj_track_times=false)
            end
        end
    end
end
