# Feature maps as the kernels have them. FLOATS channels, a block, lie together, so that a pixel of a block is one
# vector: channel in the block × column × row × block. The zeros around an image for the convolution that reads it are
# part of it, and its columns may lie apart by phase: for a stride of 2 first the even ones, then the odd ones. So what
# a convolution reads for outputs that are neighbors are neighbors, whatever its padding and its stride are.

"Columns and rows of zeros around maps, and the number of phases into which the columns are parted."
struct Border
    left::Int
    right::Int
    top::Int
    bottom::Int
    phases::Int
end

const PLAIN = Border(0, 0, 0, 0, 1)

"Whether maps with the border `have` serve who wants `want`."
serves(have::Border, want::Border) =
    have.phases == want.phases && have.left >= want.left && have.right >= want.right &&
    have.top >= want.top && have.bottom >= want.bottom

"""
Where the feature maps of an image lie: in which of a lane's buffers, and how. `floats` channels lie together:
FLOATS, or one, as in an image that comes in.
"""
struct Maps
    buffer::Int
    size::Dims{3}           # width, height, channels
    border::Border
    floats::Int
end

Base.size(maps::Maps) = maps.size
Base.size(maps::Maps, i) = maps.size[i]
blocks(maps::Maps) = cld(size(maps, 3), maps.floats)
phase_columns(maps::Maps) = cld(size(maps, 1) + maps.border.left + maps.border.right, maps.border.phases)
row_count(maps::Maps) = size(maps, 2) + maps.border.top + maps.border.bottom

"Floats from a row to the next, and from a block to the next."
row_floats(maps::Maps) = phase_columns(maps) * maps.border.phases * maps.floats
block_floats(maps::Maps) = row_floats(maps) * row_count(maps)

"Floats that a buffer for `maps` has. A tile that is larger than what is left of a row reads behind the end."
room(maps::Maps) = block_floats(maps) * blocks(maps) + 16 * FLOATS

"Floats before the pixel in column `x` and row `y` of a block, counted from 0; in the border also below 0."
function offset(maps::Maps, x, y)
    column, phase = fldmod(x + maps.border.left, maps.border.phases)
    return (phase * phase_columns(maps) + column) * maps.floats + (y + maps.border.top) * row_floats(maps)
end

"The offsets of all pixels, row after row."
pixel_offsets(maps::Maps) = vec([offset(maps, x, y) for x in 0:size(maps, 1)-1, y in 0:size(maps, 2)-1])

"Where a number is that lies `floats` after the first of `buffer`."
@inline at(buffer::Vector{Float32}, floats) = pointer(buffer) + sizeof(Float32) * floats

"The ranges of floats of a block that are border."
function border_ranges(maps::Maps)
    isborder = trues(block_floats(maps) ÷ maps.floats)
    for floats in pixel_offsets(maps)
        isborder[floats÷maps.floats+1] = false
    end
    ranges = UnitRange{Int}[]
    first = findnext(isborder, 1)
    while first !== nothing
        last = something(findnext(!, isborder, first), length(isborder) + 1) - 1
        push!(ranges, (first-1)*maps.floats+1:last*maps.floats)
        first = findnext(isborder, last + 1)
    end
    return ranges
end

# ---- in and out ------------------------------------------------------------------------------

# Each step of a plan is made once, for all lanes, and is called with the buffers of a lane: `run!(step, buffers)`.

"Zeros for the border of `maps`; others may have used the buffer."
struct Zeroed
    maps::Maps
    ranges::Vector{UnitRange{Int}}
end

Zeroed(maps::Maps) = Zeroed(maps, border_ranges(maps))

function run!((; maps, ranges)::Zeroed, buffers)
    buffer = buffers[maps.buffer]
    for block in 0:blocks(maps)-1, range in ranges
        fill!(view(buffer, range .+ block * block_floats(maps)), 0.0f0)
    end
end

"The same maps with another border."
struct Copied
    from::Maps
    to::Maps
    reads::Vector{Int}
    writes::Vector{Int}
end

Copied(from::Maps, to::Maps) = Copied(from, to, pixel_offsets(from), pixel_offsets(to))

function run!((; from, to, reads, writes)::Copied, buffers)
    source, target = buffers[from.buffer], buffers[to.buffer]
    GC.@preserve source target for block in 0:blocks(to)-1
        input, output = at(source, block * block_floats(from)), at(target, block * block_floats(to))
        for pixel in eachindex(reads)
            vstore(vload(Floats, input + 4reads[pixel]), output + 4writes[pixel])
        end
    end
end

"Put the image `values`, width × height × channels in a row, into `maps`, whose pixels lie at `offsets`."
function take_in!(buffer, maps::Maps, offsets, values)
    for channel in 0:size(maps, 3)-1
        block, place = fldmod(channel, maps.floats)
        start = block * block_floats(maps) + place + 1
        before = channel * length(offsets)
        @inbounds for pixel in eachindex(offsets)
            buffer[start+offsets[pixel]] = values[before+pixel]
        end
    end
    # What fills the last block up is multiplied by 0 at most, which is 0 for what is finite.
    for place in mod1(size(maps, 3), maps.floats):maps.floats-1, pixel in offsets
        buffer[(blocks(maps)-1)*block_floats(maps)+place+1+pixel] = 0
    end
end

"The way back of [`take_in!`](@ref)."
function take_out!(values, buffer, maps::Maps, offsets)
    for channel in 0:size(maps, 3)-1
        block, place = fldmod(channel, maps.floats)
        start = block * block_floats(maps) + place + 1
        before = channel * length(offsets)
        @inbounds for pixel in eachindex(offsets)
            values[before+pixel] = buffer[start+offsets[pixel]]
        end
    end
end

"A layer of Flux that no kernel runs, as it is."
struct ByFlux
    layer::Any
    from::Maps
    to::Maps
    reads::Vector{Int}
    writes::Vector{Int}
end

ByFlux(layer, from::Maps, to::Maps) = ByFlux(layer, from, to, pixel_offsets(from), pixel_offsets(to))

function run!((; layer, from, to, reads, writes)::ByFlux, buffers)
    image = zeros(Float32, size(from)..., 1)
    take_out!(image, buffers[from.buffer], from, reads)
    take_in!(buffers[to.buffer], to, writes, layer(image))
end
