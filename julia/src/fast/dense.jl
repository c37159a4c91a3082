# Fully connected layers on the images of a micro-batch. Such a layer is a pointwise convolution on maps of one row, whose
# pixels are the images; so its weights are read once for all of them. Its tiles are shared out among tasks.

"Inputs that are summed up in one go: their weights for a tile stay in the second-level cache, and sums of sums are more exact."
const INPUTS = 1024

"""
    TiledDense(layer, count; order = axes(layer.weight, 2))

The fully connected `layer` of Flux for `count` images, whose inputs come in `order`: `order[i]` is the number of the `i`th, 0 of
one that does not count. Called with values as [`in_blocks`](@ref) gives them; returns outputs × images.
"""
struct TiledDense
    steps::Vector{BlockConv}                # one for each INPUTS
    σ::Any                                  # that no kernel does in passing
    buffers::Vector{Vector{Float32}}        # of the values, which are set for each call, and of the outputs
end

function TiledDense(layer::Dense, count; order=axes(layer.weight, 2))
    outputs = size(layer.weight, 1)
    parts = collect(Iterators.partition(eachindex(order), INPUTS))
    to = Maps(2, (count, 1, outputs), PLAIN, FLOATS)
    steps = map(parts) do part
        weight = zeros(Float32, 1, 1, length(part), outputs)
        for (i, input) in enumerate(view(order, part))
            input == 0 || (weight[1, 1, i, :] = view(layer.weight, :, input))
        end
        bias = part == first(parts) ? layer.bias : false
        conv = Conv(identity, weight, bias, (1, 1), (0, 0), (1, 1), 1)
        from = Maps(1, (count, 1, length(part)), PLAIN, FLOATS)
        BlockConv(
            conv, from, to; start=(first(part) - 1) * count, add=part == first(parts) ? nothing : to,
            limits=limits(part == last(parts) ? layer.σ : identity)
        )
    end
    σ = bounds(layer.σ) === nothing ? layer.σ : identity
    return TiledDense(steps, σ, [Float32[], zeros(Float32, room(to))])
end

"""
    in_blocks(values::Matrix) -> Vector

Inputs × images as kernels have them: FLOATS inputs of each image lie together.
"""
function in_blocks(values::AbstractMatrix)
    inputs, images = size(values)
    blocked = zeros(Float32, FLOATS * images * cld(inputs, FLOATS) + 16 * FLOATS)
    for image in 1:images, input in 1:inputs
        block, place = fldmod1(input, FLOATS)
        blocked[((block-1)*images+image-1)*FLOATS+place] = values[input, image]
    end
    return blocked
end

(dense::TiledDense)(values::AbstractMatrix) = dense(in_blocks(values))
function (dense::TiledDense)(values::Vector{Float32})
    (; steps, σ, buffers) = dense
    buffers[1] = values
    @sync for tile in eachindex(first(steps).tiles)
        Threads.@spawn for step in steps
            run!(step, buffers, tile:tile)
        end
    end
    count, _, outputs = size(first(steps).to)
    blocked = reshape(view(buffers[2], 1:FLOATS*count*cld(outputs, FLOATS)), FLOATS, count, :)
    return σ.(reshape(permutedims(blocked, (1, 3, 2)), :, count)[1:outputs, :])
end
