# The fast path: a network over many images on the CPU, faster than layer by layer. Its logits are held to
# those of Flux's own chain and to PyTorch's in the parity table (the row "fast kernels").

"How many layers give maps for maps; what comes after them, such as flatten, is run by Flux."
map_layers(network::Network) =
    something(
        findfirst(layer -> !ismaps(layer) || layer.kind == :softmax, network.description.layers),
        length(network.description.layers) + 1
    ) - 1

"""
    Predictor(network; micro_batch, threads = Threads.nthreads())

What runs `network` on the CPU: as long as there are feature maps, each of `threads` tasks takes one image at
a time through all layers, in buffers of its own that the caches hold; the layers after it take
`micro_batch` images together. That is part of what a prediction is: a product of one fixed
shape gives an image the same bits whatever its neighbors are.

    predict(predictor, images) -> logits
"""
struct Predictor
    network::Network
    steps::Vector{Any}                      # run!(step, buffers), for each image
    input::Maps
    offsets::Vector{Int}                    # of its pixels
    output::Maps
    lanes::Vector{Vector{Vector{Float32}}}  # the buffers of each task
    micro_batch::Int
    features::Vector{Float32}               # the last maps of all images, FLOATS of each image together
    rest::Vector{Any}                       # the layers after the maps, without a softmax
end

function Predictor(network::Network; micro_batch, threads=Threads.nthreads())
    count = map_layers(network)
    described, flux = network.description.layers, top_layers(network)
    plan, layers = Plan([], [], []), Layers(described[1:count], flux[1:count])
    input = image_maps!(plan, size(network.description.input), layers)
    output = bordered!(plan, chain!(plan, layers, Value(input, true), PLAIN), PLAIN).maps
    lanes = [[zeros(Float32, floats) for floats in plan.rooms] for _ in 1:threads]
    features = zeros(Float32, block_floats(output) * blocks(output) * micro_batch + 16 * FLOATS)
    return Predictor(
        network, plan.steps, input, pixel_offsets(input), output, lanes, micro_batch, features,
        after_maps(flux[count+1:before_softmax(network)], output, micro_batch)
    )
end

"The maps of an image. Its few channels lie apart for a convolution, which takes the taps of a row together then."
function image_maps!(plan, size, layers)
    first = isempty(layers.flux) ? identity : layers.flux[1]
    apart = first isa Conv && !isdepthwise(first)
    return finish!(plan, maps!(plan, size, border_for(layers, 0, PLAIN); floats=apart ? 1 : FLOATS))
end

"What runs the layers after the `maps`. Called with the features, then each with what the one before gives."
function after_maps(layers, maps, count)
    dense = findfirst(layer -> !(layer isa Dropout || layer === Flux.flatten), layers)
    if !isempty(layers) && first(layers) === Flux.flatten && dense !== nothing && layers[dense] isa Dense
        pixels = size(maps, 1) * size(maps, 2)
        # As they lie in memory; flatten has the pixels of a channel together.
        order = [
            channel <= size(maps, 3) ? (channel - 1) * pixels + pixel : 0 for
            block in 0:blocks(maps)-1 for pixel in 1:pixels for channel in block*FLOATS+1:(block+1)*FLOATS
        ]
        first_dense = TiledDense(layers[dense], count; order)
        return Any[first_dense, (tiled(layer, count) for layer in layers[dense+1:end])...]
    end
    return Any[features->maps_of(features, maps, count), (tiled(layer, count) for layer in layers)...]
end

tiled(layer, count) = layer
tiled(layer::Dense, count) = TiledDense(layer, count)

"The features as width × height × channels × images."
function maps_of(features, maps, count)
    pixels = size(maps, 1) * size(maps, 2)
    blocked = reshape(view(features, 1:FLOATS*count*pixels*blocks(maps)), FLOATS, count, pixels, blocks(maps))
    channels = reshape(permutedims(blocked, (3, 1, 4, 2)), size(maps)[1:2]..., :, count)
    return channels[:, :, 1:size(maps, 3), :]
end

function predict(predictor::Predictor, images)
    (; network, lanes, rest, features, micro_batch) = predictor
    results = zeros(Float32, length(network.description.labels), size(images, 4))
    for batch in Iterators.partition(axes(images, 4), micro_batch)
        fill!(features, 0)
        # No tasks inside of a lane's layers: each core has its lane.
        next = Threads.Atomic{Int}(1)
        NNlib.@disallow_spawns @sync for buffers in lanes
            Threads.@spawn while (row = Threads.atomic_add!(next, 1)) <= length(batch)
                feature_maps!(predictor, buffers, view(images, :, :, :, batch[row]), row)
            end
        end
        values = Flux.flatten(foldl((values, layer) -> layer(values), rest; init=features))
        results[:, batch] = view(values, :, eachindex(batch))
    end
    return results
end

"Take `image` through the layers that give maps; the last of them become the features of image `row`."
function feature_maps!(predictor::Predictor, buffers, image, row)
    (; steps, input, offsets, output, features, micro_batch) = predictor
    take_in!(buffers[input.buffer], input, offsets, image)
    for step in steps
        run!(step, buffers)
    end
    maps = buffers[output.buffer]
    GC.@preserve maps features for vector in 0:size(output, 1)*size(output, 2)*blocks(output)-1
        vstore(vload(Floats, at(maps, vector * FLOATS)), at(features, (vector * micro_batch + row - 1) * FLOATS))
    end
end
