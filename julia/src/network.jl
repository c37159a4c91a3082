# From a classifier spec to layers of Flux.

"""
A CNN in Flux: the layers of `spec`, in test mode.

    network(images) -> logits

`images` is Float32 width × height × channels × N, normalised; `logits` is K × N, what the
network gives before its softmax, if it has one.
"""
struct Network
    spec::Spec
    layers::Vector{Any}     # not a tuple: each new type of tuple would be compiled anew
end

"""
    Network(spec)

The network of a classifier spec with Flux's own initial weights.
"""
Network(spec::Spec) = Network(spec, Any[flux_layer(Val(Symbol(layer.kind)), layer) for layer in spec.layers])

"The network as Flux's own `Chain`, its layers under the names of the spec."
Flux.Chain(network::Network) = Chain(NamedTuple(zip(layer_names(network.spec), network.layers)))

layer_names(spec::Spec) = [Symbol(layer.name) for layer in spec.layers]

(network::Network)(images) = logits(network, layer_outputs(network, images))

# The output before the softmax, which can only be the last layer.
logits(network::Network, outputs) = outputs[end - (last(network.layers) === softmax)]

"""
    layer_outputs(network, images) -> Vector

What every layer gives for `images`, in order.
"""
function layer_outputs(network::Network, images)
    outputs = Any[]
    for layer in network.layers
        images = layer(images)
        push!(outputs, images)
    end
    return outputs
end

"Move a network's arrays to a device of MLDataDevices, such as `gpu_device()`."
(device::Flux.MLDataDevices.AbstractDevice)(network::Network) =
    Network(network.spec, Any[device(layer) for layer in network.layers])

# ---- a layer of each kind ---------------------------------------------------------------

flux_layer(::Val{:conv}, layer) = Conv(
    layer.settings["kernel"], layer.insize[3] => layer.outsize[3], activation(layer.settings["activation"]);
    stride=layer.settings["stride"], pad=layer.settings["padding"], dilation=layer.settings["dilation"],
    groups=Int(layer.settings["groups"]), bias=layer.settings["bias"], init=Flux.zeros32,
)
flux_layer(::Val{:batchnorm}, layer) = testmode!(
    BatchNorm(last(layer.insize), activation(layer.settings["activation"]); eps=Float32(layer.settings["eps"])),
)
flux_layer(::Val{:maxpool}, layer) =
    MaxPool(layer.settings["kernel"]; stride=layer.settings["stride"], pad=layer.settings["padding"])
flux_layer(::Val{:meanpool}, layer) =
    MeanPool(layer.settings["kernel"]; stride=layer.settings["stride"], pad=layer.settings["padding"])
flux_layer(::Val{:dropout}, layer) = testmode!(Dropout(layer.settings["p"]))
flux_layer(::Val{:flatten}, layer) = Flux.flatten
flux_layer(::Val{:dense}, layer) = Dense(
    only(layer.insize) => only(layer.outsize), activation(layer.settings["activation"]); init=Flux.zeros32,
)
flux_layer(::Val{:softmax}, layer) = softmax
flux_layer(::Val{:leaky_relu}, layer) = Elementwise(leaky_relu(layer.settings["slope"]))
flux_layer(::Val{kind}, layer) where {kind} = Elementwise(activation(string(kind)))

"""
    Elementwise(σ)

A layer that applies the activation function `σ` to every number.
"""
struct Elementwise{F}
    σ::F
end

(layer::Elementwise)(x) = NNlib.fast_act(layer.σ, x).(x)
Base.show(io::IO, layer::Elementwise) = print(io, "Elementwise(", layer.σ, ")")

"The activation function of a name in the spec."
function activation(name)
    name == "relu" && return relu
    name == "gelu" && return NNlib.gelu_erf     # the exact form, x Φ(x), as PyTorch's GELU
    name == "sigmoid" && return sigmoid
    name == "tanh" && return tanh
    name == "leaky_relu" && return leakyrelu
    name == "identity" && return identity
    throw(StudyError("the activation $name is not one of relu, gelu, sigmoid, tanh, leaky_relu and identity."))
end

# Flux's own has the slope 0.01.
leaky_relu(slope) = slope == 0.01 ? leakyrelu : Base.Fix2(leakyrelu, Float32(slope))
