# Running a network over many images.

# Images that go through the dense layers together. Part of what a prediction is: a product of
# one fixed shape gives an image the same bits whatever its neighbours are.
const MICRO_BATCH = 16

"""
    predict(network, images; keep) -> logits

The logits, K × N, of `images`, Float32 width × height × channels × N, by Flux alone.
`keep(n)` tells whether the outputs of all layers are wanted for image `n`, and
`keep(n, layer, output)` is given them one after the other, as arrays for one image.
"""
function predict(network::Network, images; keep=nothing, device=identity)
    batches = map(Iterators.partition(axes(images, 4), MICRO_BATCH)) do batch
        filled = zeros(Float32, size(images)[1:3]..., MICRO_BATCH)
        copyto!(filled, view(images, :, :, :, batch))
        outputs = map(cpu_device(), layer_outputs(network, device(filled)))
        for (row, n) in enumerate(batch), (layer, output) in enumerate(outputs)
            wanted(keep, n) && keep(n, layer, selectdim(output, ndims(output), row))
        end
        logits(network, outputs)[:, eachindex(batch)]
    end
    return reduce(hcat, batches; init=zeros(Float32, length(network.spec.labels), 0))
end

wanted(keep, n) = keep !== nothing && keep(n)

"""
What one task works with: an image, and the layers up to flatten as it runs them, several in one
kernel where that can be (`fused`) or, for images whose layers are wanted, one by one (`single`).
"""
struct Lane
    image::Array{Float32,4}
    fused::Vector{Any}
    single::Vector{Any}     # empty until the first such image
end

Lane(network::Network) = Lane(zeros(Float32, size(network.spec.input)..., 1), fused_kernels(network), [])

"Which layer is flatten."
flatten_index(network::Network) = findfirst(layer -> layer.kind == "flatten", network.spec.layers)

"The layers up to flatten, each as the kernel that runs it."
single_kernels(network::Network) =
    [kernel(network.spec.layers[i], network.layers[i]) for i in 1:flatten_index(network)]

kernel(spec, layer) = layer
kernel(spec, layer::Conv) = DirectConv(layer, spec.insize)
kernel(spec, layer::BatchNorm) = ChannelNorm(layer)
kernel(spec, layer::Union{MaxPool,MeanPool}) = DirectPool(layer, spec.outsize)

"The same, but a convolution takes along the batch normalisation and the pooling after it."
function fused_kernels(network::Network)
    specs, layers = network.spec.layers, network.layers
    kernels = Any[]
    i = 1
    while i <= flatten_index(network)
        if layers[i] isa Conv
            next = i + 1
            norm = layers[next] isa BatchNorm ? ChannelNorm(layers[next]) : nothing
            next += norm !== nothing
            pool = halves(layers[next]) && all(specs[next].insize[1:2] .>= 2) ? 2 : 1
            push!(kernels, DirectConv(layers[i], specs[i].insize; norm, pool))
            i = next + (pool == 2)
        else
            push!(kernels, kernel(specs[i], layers[i]))
            i += 1
        end
    end
    return kernels
end

halves(layer) = layer isa MaxPool && layer.k == layer.stride == (2, 2) && all(iszero, layer.pad)

"""
    Predictor(network; threads = Threads.nthreads())

What runs `network` on the CPU, faster than layer by layer: up to the flatten layer, each of
`threads` tasks takes one image at a time through all layers, in buffers of its own that the
caches hold; the layers after it take `MICRO_BATCH` images together.

    predict(predictor, images; keep) -> logits
"""
struct Predictor
    network::Network
    lanes::Vector{Lane}
    features::Matrix{Float32}       # what flatten gives × MICRO_BATCH
end

function Predictor(network::Network; threads=Threads.nthreads())
    features = zeros(Float32, only(network.spec.layers[flatten_index(network)].outsize), MICRO_BATCH)
    return Predictor(network, [Lane(network) for _ in 1:threads], features)
end

function predict(predictor::Predictor, images; keep=nothing)
    (; network, lanes, features) = predictor
    flatten = flatten_index(network)
    results = zeros(Float32, length(network.spec.labels), size(images, 4))
    for batch in Iterators.partition(axes(images, 4), MICRO_BATCH)
        fill!(features, 0)
        # No tasks inside of a lane's layers: each core has its lane.
        next = Threads.Atomic{Int}(1)
        NNlib.@disallow_spawns @sync for lane in lanes
            Threads.@spawn while (row = Threads.atomic_add!(next, 1)) <= length(batch)
                features[:, row] = run!(lane, network, images, batch[row], keep)
            end
        end
        outputs = Any[features]
        for layer in network.layers[flatten+1:end]
            push!(outputs, layer(last(outputs)))
        end
        for (row, n) in enumerate(batch), layer in 2:length(outputs)
            wanted(keep, n) && keep(n, flatten + layer - 1, outputs[layer][:, row])
        end
        results[:, batch] = view(logits(network, outputs), :, eachindex(batch))
    end
    return results
end

const KEEPING = ReentrantLock()

"Take image `n` through the layers up to flatten; returns what that gives."
function run!(lane::Lane, network, images, n, keep)
    copyto!(lane.image, 1, images, (n - 1) * length(lane.image) + 1, length(lane.image))
    values = lane.image
    if wanted(keep, n)
        isempty(lane.single) && append!(lane.single, single_kernels(network))
        for (i, layer) in enumerate(lane.single)
            values = layer(values)
            @lock KEEPING keep(n, i, selectdim(values, ndims(values), 1))
        end
    else
        for kernel in lane.fused
            values = kernel(values)
        end
    end
    return vec(values)
end
