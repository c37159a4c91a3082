# From a description to Flux's own chain.

"""
A CNN in Flux: the `chain` of the layers of `description`, under their names, in test mode.

    network(images) -> logits

`images` is Float32 width × height × channels × N, normalized; `logits` is K × N, what the
network gives before its softmax, if it has one.
"""
struct Network
    description::Description
    chain::Chain            # without its type: each new one would be compiled anew
end

"""
    Network(description)

The network of a description, its weights all zero.
"""
Network(description::Description) =
    Network(description, Chain(NamedTuple(Symbol(layer.name) => flux_layer(layer) for layer in description.layers)))

"The layers of the chain, in order."
layers(network::Network) = Any[values(network.chain.layers)...]

(network::Network)(images) = logits(network, layer_outputs(network, images))

"The output before the softmax, which can only be the last layer."
logits(network::Network, outputs) = outputs[end-(last(network.description.layers).kind==:softmax)]

"""
    layer_outputs(network, images)

What every layer of the chain gives for `images`, in order, by `Flux.activations`.
"""
layer_outputs(network::Network, images) = Flux.activations(network.chain, images)

"""
    predict(network, images; micro_batch, device = identity) -> logits

The logits, K × N, of `images`, Float32 width × height × channels × N, by Flux's own chain.
"""
function predict(network::Network, images; micro_batch, device=identity)
    batches = map(Iterators.partition(axes(images, 4), micro_batch)) do batch
        cpu_device()(network(device(filled(images, batch, micro_batch))))[:, eachindex(batch)]
    end
    return reduce(hcat, batches; init=zeros(Float32, length(network.description.labels), 0))
end

"The images `batch`, filled up with zeros to `count`: a network on one fixed shape gives each image the same bits."
function filled(images, batch, count)
    values = zeros(Float32, size(images)[1:3]..., count)
    copyto!(values, view(images, :, :, :, batch))
    return values
end

"Move a network's arrays to a device of MLDataDevices, such as `gpu_device()`."
(device::Flux.MLDataDevices.AbstractDevice)(network::Network) = Network(network.description, device(network.chain))

# ---- weights ------------------------------------------------------------------------------

"Parameters by their name `{layer}/{parameter}`, as HDF5.jl reads them, and in the network's order."
const Weights = Vector{Pair{String,Array{Float32}}}

"""
    weights(network) -> Weights

The parameters of a network in PyTorch's shapes: the inverse of [`with_weights`](@ref).
"""
weights(network::Network) = weights_of(network, map(state_of, layers(network)))

"Name what `Flux.state` makes of each layer as PyTorch does; `states` are functions from a field to its value."
weights_of(network::Network, states) = Weights([
    "$(description.name)/$parameter" => convert(Array{Float32}, array)
    for (description, layer, state) in zip(network.description.layers, layers(network), states)
    for (parameter, array) in torch_weights(typeof(layer), state)
    # What is not an array of numbers (`bias=false`) is not a parameter; check_weights misses it if it should be.
    if array isa Array{<:AbstractFloat}
])

state_of(layer) = name -> get(Dict(pairs(Flux.state(layer))), name, nothing)

"""
    with_weights(description, weights) -> Network

The network of `description` with `weights`, which were checked before (see [`check_weights`](@ref)).
"""
function with_weights(description::Description, weights)
    network = Network(description)
    values = Dict(weights)
    for (layer, described) in zip(layers(network), description.layers)
        take_weights!(layer, parameter -> values["$(described.name)/$parameter"])
    end
    return network
end
