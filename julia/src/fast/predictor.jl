# The fast path: a network over many images on the CPU, faster than layer by layer. Its logits are held to
# those of Flux's own chain and to PyTorch's in the parity table (the row "fast kernels").

"""
What one task works with: an image, and the layers up to flatten, several in one kernel where that
can be.
"""
struct Lane
    image::Array{Float32,4}
    kernels::Vector{Any}
end

Lane(network::Network) = Lane(zeros(Float32, size(network.description.input)..., 1), fused_kernels(network))

"How many layers come before what is left is a vector: those up to flatten, or all that give the logits."
map_layers(network::Network) =
    something(
        findfirst(layer -> layer.kind == :flatten, network.description.layers),
        length(network.description.layers) - (last(network.description.layers).kind == :softmax)
    )

"A layer of Flux as the kernel that runs it; what has none runs as it is."
kernel(description, layer) = layer
kernel(description, layer::Conv) = DirectConv(layer, description.insize)
kernel(description, layer::BatchNorm) = ChannelNorm(layer)
kernel(description, layer::Union{MaxPool,MeanPool}) = DirectPool(layer, description.outsize)

"The layers up to flatten as kernels; a convolution takes along the batch normalization and the pooling after it."
function fused_kernels(network::Network)
    count = map_layers(network)
    described, flux = network.description.layers, top_layers(network)
    kernels = Any[]
    i = 1
    while i <= count
        if flux[i] isa Conv
            next = i + 1
            norm = next <= count && flux[next] isa BatchNorm ? ChannelNorm(flux[next]) : nothing
            next += norm !== nothing
            pool = next <= count && halves(flux[next]) && all(described[next].insize[1:2] .>= 2) ? 2 : 1
            push!(kernels, DirectConv(flux[i], described[i].insize; norm, pool))
            i = next + (pool == 2)
        else
            push!(kernels, kernel(described[i], flux[i]))
            i += 1
        end
    end
    return kernels
end

halves(layer) = layer isa MaxPool && layer.k == layer.stride == (2, 2) && all(iszero, layer.pad)

"""
    Predictor(network; micro_batch, threads = Threads.nthreads())

What runs `network` on the CPU: up to the flatten layer, each of `threads` tasks takes one image at
a time through all layers, in buffers of its own that the caches hold; the layers after it take
`micro_batch` images together. That is part of what a prediction is: a product of one fixed
shape gives an image the same bits whatever its neighbors are.

    predict(predictor, images) -> logits
"""
struct Predictor
    network::Network
    lanes::Vector{Lane}
    rest::Vector{Any}               # the layers after flatten, without a softmax
    features::Matrix{Float32}       # what flatten gives × micro_batch
end

function Predictor(network::Network; micro_batch, threads=Threads.nthreads())
    count = map_layers(network)
    features = zeros(Float32, prod(network.description.layers[count].outsize), micro_batch)
    rest = top_layers(network)[count+1:before_softmax(network)]
    return Predictor(network, [Lane(network) for _ in 1:threads], rest, features)
end

function predict(predictor::Predictor, images)
    (; network, lanes, rest, features) = predictor
    results = zeros(Float32, length(network.description.labels), size(images, 4))
    for batch in Iterators.partition(axes(images, 4), size(features, 2))
        fill!(features, 0)
        # No tasks inside of a lane's layers: each core has its lane.
        next = Threads.Atomic{Int}(1)
        NNlib.@disallow_spawns @sync for lane in lanes
            Threads.@spawn while (row = Threads.atomic_add!(next, 1)) <= length(batch)
                features[:, row] = run!(lane, images, batch[row])
            end
        end
        values = foldl((values, layer) -> layer(values), rest; init=features)
        results[:, batch] = view(values, :, eachindex(batch))
    end
    return results
end

"Take image `n` through the layers up to flatten; returns what that gives."
function run!(lane::Lane, images, n)
    copyto!(lane.image, 1, images, (n - 1) * length(lane.image) + 1, length(lane.image))
    values = lane.image
    for kernel in lane.kernels
        values = kernel(values)
    end
    return vec(values)
end
