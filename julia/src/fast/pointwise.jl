# What works on feature maps pixel by pixel: activation, batch normalization, what joins the branches of a block; and pooling.

"""
The activation function `σ` of every number of `maps`, in place; also of the border that lies among them, which the
step that follows makes zero again.
"""
struct Activated{F}
    maps::Maps
    σ::F
    range::UnitRange{Int}       # of the floats of a block
end

function Activated(maps::Maps, σ)
    first, last = extrema(pixel_offsets(maps))
    return Activated(maps, σ, first+1:last+FLOATS)
end

function run!((; maps, σ, range)::Activated, buffers)
    buffer = buffers[maps.buffer]
    for block in 0:blocks(maps)-1
        activate!(view(buffer, range .+ block * block_floats(maps)), NNlib.fast_act(σ, buffer))
    end
end

activate!(values, σ) =
    @inbounds @simd for i in eachindex(values)
        values[i] = σ(values[i])
    end

"A factor and a summand for each channel, and limits: batch normalization in test mode. In place."
struct Scaled
    maps::Maps
    limits::Tuple{Float32,Float32}
    scale::Vector{Float32}              # filled up with zeros
    shift::Vector{Float32}
    offsets::Vector{Int}
end

Scaled(maps::Maps, scale, shift, limits) = Scaled(maps, limits, filled_up(scale), filled_up(shift), pixel_offsets(maps))

filled_up(values) = [values; zeros(Float32, mod(-length(values), FLOATS))]

"The factor and the summand of the batch normalization `layer` of Flux in test mode, for each channel."
function scale_and_shift(layer::BatchNorm)
    scale = @. layer.γ / sqrt(layer.σ² + layer.ϵ)
    return scale, @. layer.β - layer.μ * scale
end

function run!((; maps, limits, scale, shift, offsets)::Scaled, buffers)
    buffer = buffers[maps.buffer]
    GC.@preserve buffer scale shift for block in 0:blocks(maps)-1
        factor, summand = vload(Floats, at(scale, block * FLOATS)), vload(Floats, at(shift, block * FLOATS))
        values = at(buffer, block * block_floats(maps))
        for offset in offsets
            place = values + 4offset
            vstore(within(muladd(vload(Floats, place), factor, summand), limits), place)
        end
    end
end

"`a = op(a, b)` within limits. Of maps `b` of one pixel that one is taken for all."
struct Joined{O}
    op::O
    a::Maps
    b::Maps
    limits::Tuple{Float32,Float32}
    writes::Vector{Int}
    reads::Vector{Int}
end

Joined(op, a::Maps, b::Maps, limits) = Joined(op, a, b, limits, pixel_offsets(a), pixel_offsets(b))

function run!((; op, a, b, limits, writes, reads)::Joined, buffers)
    into, other = buffers[a.buffer], buffers[b.buffer]
    last = length(reads)
    GC.@preserve into other for block in 0:blocks(a)-1
        values, others = at(into, block * block_floats(a)), at(other, block * block_floats(b))
        for pixel in eachindex(writes)
            place = values + 4writes[pixel]
            vstore(within(op(vload(Floats, place), vload(Floats, others + 4reads[min(pixel, last)])), limits), place)
        end
    end
end

"The channels of `from` become those of `to` after the first `before`."
struct Placed
    from::Maps
    to::Maps
    before::Int
    reads::Vector{Int}
    writes::Vector{Int}
end

Placed(from::Maps, to::Maps, before) = Placed(from, to, before, pixel_offsets(from), pixel_offsets(to))

function run!((; from, to, before, reads, writes)::Placed, buffers)
    source, target = buffers[from.buffer], buffers[to.buffer]
    place(maps, channel) = channel ÷ FLOATS * block_floats(maps) + channel % FLOATS
    GC.@preserve source target if before % FLOATS == 0
        for channel in 0:FLOATS:size(from, 3)-1
            input, output = at(source, place(from, channel)), at(target, place(to, before + channel))
            for pixel in eachindex(reads)
                vstore(vload(Floats, input + 4reads[pixel]), output + 4writes[pixel])
            end
        end
    else
        for channel in 0:size(from, 3)-1
            input, output = place(from, channel) + 1, place(to, before + channel) + 1
            @inbounds for pixel in eachindex(reads)
                target[output+writes[pixel]] = source[input+reads[pixel]]
            end
        end
    end
end

# ---- pooling ---------------------------------------------------------------------------------

"""
    BlockPool(layer, from, to)

The pooling `layer` of Flux, also of all pixels. A mean counts the border as zeros, as Flux and PyTorch do.
"""
struct BlockPool{F}
    combine::F
    start::Float32
    factor::Float32
    from::Maps
    to::Maps
    columns::Vector{UnitRange{Int}}     # of the windows, counted from 0
    rows::Vector{UnitRange{Int}}
    reads::Vector{Int}
    writes::Vector{Int}
end

BlockPool(layer::MaxPool{2}, from::Maps, to::Maps) =
    BlockPool(larger, -Inf32, 1.0f0, from, to, windows(layer, from, to)...)
BlockPool(layer::MeanPool{2}, from::Maps, to::Maps) =
    BlockPool(+, 0.0f0, 1.0f0 / prod(layer.k), from, to, windows(layer, from, to)...)
BlockPool(::GlobalMaxPool, from::Maps, to::Maps) = BlockPool(larger, -Inf32, 1.0f0, from, to, whole_maps(from)...)
BlockPool(::GlobalMeanPool, from::Maps, to::Maps) =
    BlockPool(+, 0.0f0, 1.0f0 / (size(from, 1) * size(from, 2)), from, to, whole_maps(from)...)

BlockPool(combine, start, factor, from::Maps, to::Maps, columns, rows) =
    BlockPool(combine, start, factor, from, to, columns, rows, pixel_offsets(from), pixel_offsets(to))

whole_maps(from) = ([0:size(from, 1)-1], [0:size(from, 2)-1])
windows(layer, from, to) =
    map(1:2) do i
        [window(size(from, i), layer.k[i], layer.stride[i], sides(layer)[2i-1], k) for k in 1:size(to, i)]
    end

"The pixels of a side, counted from 0, that the `k`th window covers."
function window(side, kernel, stride, pad, k)
    first = (k - 1) * stride - pad
    return max(first, 0):min(first + kernel, side)-1
end

function run!((; combine, start, factor, from, to, columns, rows, reads, writes)::BlockPool, buffers)
    source, target = buffers[from.buffer], buffers[to.buffer]
    GC.@preserve source target for block in 0:blocks(to)-1
        input, output = at(source, block * block_floats(from)), at(target, block * block_floats(to))
        pixel = 0
        for ys in rows, xs in columns
            value = Floats(start)
            for y in ys
                line = y * size(from, 1) + 1
                @inbounds for x in xs
                    value = combine(value, vload(Floats, input + 4reads[line+x]))
                end
            end
            vstore(Floats(factor) * value, output + 4writes[pixel+=1])
        end
    end
end
