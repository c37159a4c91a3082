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
Network(description::Description) = Network(description, flux_chain(description.layers))

"A chain of Flux of the layers, under their names."
flux_chain(layers) = Chain(NamedTuple(Symbol(own_name(layer)) => flux_layer(layer) for layer in layers))

"""
    chained(f, layers, chain)

Call `f(described, layer)` for every layer of `chain`, and before a block for those inside of it.
"""
chained(f, described::Vector{LayerDescription}, chain::Chain) =
    for (description, layer) in zip(described, values(chain.layers))
        for (branch, inner) in zip(description.branches, branches(layer))
            isempty(branch) || chained(f, branch, inner)
        end
        f(description, layer)
    end

"The layers of the network, those inside of blocks, too, in the order in which they are computed."
function layers(network::Network)
    all = Any[]
    chained((_, layer) -> push!(all, layer), network.description.layers, network.chain)
    return all
end

"The layers of the chain; a block is one."
top_layers(network::Network) = Any[network.chain.layers...]

function (network::Network)(images)
    layers = top_layers(network)
    return Flux.flatten(foldl((values, layer) -> layer(values), layers[1:before_softmax(network)]; init=images))
end

"How many layers of the chain come before the softmax, which can only be the last."
before_softmax(network::Network) =
    length(network.description.layers) - (last(network.description.layers).kind == :softmax)

"""
    layer_outputs(network, images)

What every layer of the chain gives for `images`, in the order of [`layers`](@ref).
"""
function layer_outputs(network::Network, images)
    outputs = Any[]
    run!((_, values) -> push!(outputs, values), network.description.layers, network.chain, images)
    return outputs
end

"Run `chain`, and call `f(described, values)` with what each of its layers gives, and before a block with what those inside of it give."
function run!(f, described::Vector{LayerDescription}, chain::Chain, values)
    for (description, layer) in zip(described, Base.values(chain.layers))
        values =
            isempty(description.branches) ? layer(values) : joined(layer, values) do number, branch
                run!(f, description.branches[number], branch, values)
            end
        f(description, values)
    end
    return values
end

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
    for (description, layer, state) in zip(walk(network.description), layers(network), states)
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
    for (layer, described) in zip(layers(network), walk(description))
        take_weights!(layer, parameter -> values["$(described.name)/$parameter"])
    end
    return network
end
