# Convolution on feature maps in blocks of channels.
#
# A tile is S segments of Q neighboring outputs × V blocks of channels. Its sums stay in registers over all that is
# multiplied; each step loads V vectors of weights and S × Q numbers of the input. Bias, a residual sum, limits such as those
# of relu, and a max-pooling come while they are still there.

"""
The (V, S, Q) of tiles whose sums, weights and a number of the input fit into `registers`. Thirty-two of them hold two segments as
long as the rows of most maps divide into. With sixteen, four or six segments of one output go over the ends of rows, and three
blocks give the 2×2 windows of a pooling enough sums; each segment takes a register more that holds an address.
"""
tile_shapes(registers) = [
    (V, S, Q) for V in 1:3 for (S, Q) in (((2, Q) for Q in 1:7)..., (4, 1), (6, 1)) if
    S * Q * V + V + 1 <= registers && (registers < 32 || (V < 3 && S == 2))
]

"A tile: its blocks of output channels, and what is summed for them."
struct Tile
    block::Int              # the first, counted from 0
    blocks::Int
    runs::UnitRange{Int}    # those of BlockConv that it sums over
    weights::Int            # floats before its weights
end

"Neighboring outputs: floats before what the first reads, its place among the offsets, and how many there are."
struct Segment
    reads::Int
    pixel::Int
    count::Int
end

"""
    BlockConv(layer, from, to; start = 0, add = nothing, limits, pool = 1, shape)

The convolution `layer` of Flux from the maps `from`, which begin `start` floats later in their buffer, to the maps `to`,
with what comes after it: the maps `add` as a summand, `limits`, and a max-pooling with the window and stride `pool`. `from` has the border that
[`wanted`](@ref) says. The `shape` of the tiles changes no bit of what they give.
"""
struct BlockConv
    from::Maps
    to::Maps
    add::Union{Nothing,Maps}
    limits::Tuple{Float32,Float32}
    pool::Int
    shape::NTuple{3,Int}                # of the tiles: V, S, Q
    tiles::Vector{Tile}
    runs::Vector{Tuple{Int,Int}}        # bytes before the first number of a channel, and how many lie after it
    weights::Vector{Float32}
    bias::Vector{Float32}
    segments::Vector{Segment}
    strip::Int                          # segments that go through all tiles together
    writes::Vector{Int}                 # offsets of the pixels of `to`
    adds::Vector{Int}                   # and of `add`
end

"The border that `layer` wants around its input."
wanted(layer::Conv{2}) = Border(sides(layer)..., layer.stride[1])

function BlockConv(
    layer::Conv{2}, from::Maps, to::Maps;
    start=0, add=nothing, limits=bounds(layer.σ), pool=1, shape=fastest_shape(layer, from, pool)
)
    outputs, groups = size(layer.weight, 4), layer.groups
    outsize, (V, S, Q) = rows_of_outputs(layer, from), shape
    # Flux.Conv turns the kernel, the taps here do not.
    kernel = reverse(layer.weight; dims=(1, 2))

    runs, tiles, weights = Tuple{Int,Int}[], Tile[], Vector{Float32}[]
    steps = run = nothing
    for block in 0:V:cld(outputs, FLOATS)-1
        channels = block*FLOATS+1:min(block + V, cld(outputs, FLOATS))*FLOATS
        if groups > 1 || isempty(tiles)
            # A tile reads all groups that its channels are in.
            group(channel) = cld(min(channel, outputs), outputs ÷ groups)
            inputs = (group(first(channels))-1)*size(kernel, 3)+1:group(last(channels))*size(kernel, 3)
            parts = taps(layer, from, inputs)
            run = length(runs)+1:length(runs)+length(parts)
            append!(runs, ((sizeof(Float32) * offset, length(together)) for (offset, together) in parts))
            steps = reduce(vcat, last.(parts))
        end
        push!(tiles, Tile(block, length(channels) ÷ FLOATS, run, sum(length, weights; init=0)))
        push!(weights, tile_weights(kernel, groups, channels, steps))
    end
    bias = zeros(Float32, FLOATS * cld(outputs, FLOATS))
    layer.bias === false || copyto!(bias, layer.bias)

    parts = segments(layer, from, start, outsize, Q, pool)
    rows = clamp(STRIP ÷ (row_floats(from) * blocks(from) * layer.stride[2]), 1, outsize[2])
    strip =
        pointwise(layer, from) ? max(STRIP ÷ (blocks(from) * FLOATS * Q), 2) : rows * cld(outsize[1], Q)
    # The last tile may have segments without outputs.
    append!(parts, fill(Segment(last(parts).reads, last(parts).pixel, 0), mod(-length(parts), S)))
    return BlockConv(
        from, to, add, limits, pool, shape, tiles, runs, reduce(vcat, weights), bias, parts, S * cld(strip, S),
        pixel_offsets(to),
        add === nothing ? Int[] : pixel_offsets(add)
    )
end

"The weights of a tile in the order of its steps, taps (x, y, input); 0 for an input that is not of a channel's group."
function tile_weights(kernel, groups, channels, steps)
    inputs, outputs = size(kernel)[3:4]
    weights = zeros(Float32, length(channels), length(steps))
    for (i, (x, y, input)) in enumerate(steps), (place, channel) in enumerate(channels)
        channel <= outputs && cld(channel, outputs ÷ groups) == cld(input, inputs) &&
            (weights[place, i] = kernel[x, y, mod1(input, inputs), channel])
    end
    return vec(weights)
end

const STRIP = 192 * 1024 ÷ sizeof(Float32)      # of the input, that the second-level cache holds beside the weights

conv_size(layer, insize) =
    (
        insize[1:2] .+ (sides(layer)[1] + sides(layer)[2], sides(layer)[3] + sides(layer)[4]) .-
        layer.dilation .* (size(layer.weight)[1:2] .- 1) .- 1
    ) .÷ layer.stride .+ 1

"Whether `layer` takes each pixel of the maps `from` by itself, so that all are one row."
pointwise(layer, from) = size(layer.weight)[1:2] == layer.stride == (1, 1) && from.border == PLAIN

"How long the rows of outputs are that segments are parts of, and how many there are."
function rows_of_outputs(layer, from)
    outsize = conv_size(layer, size(from))
    return pointwise(layer, from) ? (prod(outsize), 1) : outsize
end

"""
V, S and Q of the fastest tiles of this CPU. A step of a tile takes as long as its multiplications or its loads, two in a
cycle, and a multiplication's latency of four cycles at least; a tile takes some cycles more.
"""
function fastest_shape(layer, from, pool)
    width, height = rows_of_outputs(layer, from)
    outputs, groups = size(layer.weight, 4), layer.groups
    all_blocks = cld(outputs, FLOATS)
    step(V, pixels) = max(4.0, V * pixels / 2, (V + pixels) / 2) + 0.25
    function cost((V, S, Q))
        tiles = pool == 2 ? cld(width ÷ 2 * 2, Q) * (height ÷ 2) : cld(cld(width, Q) * height, S)
        return tiles * (all_blocks ÷ V * step(V, S * Q) + (all_blocks % V == 0 ? 0.0 : step(all_blocks % V, S * Q)))
    end
    # The blocks of a tile read what they share; a pooling takes pairs of rows.
    together(V) = V == 1 || groups == 1 || outputs ÷ groups % (V * FLOATS) == 0
    fits((V, S, Q)) = V <= all_blocks && together(V) && (pool == 1 || (S == 2 && iseven(Q)))
    return argmin(cost, filter(fits, tile_shapes(REGISTERS)))
end

"""
What a tile sums over the `inputs`: pairs of the offset of a number, relative to that of the first output's
first pixel, and the taps (x, y, input) of it and of those that follow in memory.
"""
function taps(layer, from::Maps, inputs)
    columns, rows = size(layer.weight)[1:2]
    left, _, top, _ = sides(layer)
    start(x, y, block) =
        block * block_floats(from) +
        offset(from, (x - 1) * layer.dilation[1] - left, (y - 1) * layer.dilation[2] - top) - offset(from, 0, 0)
    if from.floats == 1
        # The taps of a row lie together.
        together = layer.dilation[1] == from.border.phases == 1
        return [
            (start(x, y, input - 1), [(i, y, input) for i in (together ? (1:columns) : (x:x))]) for
            input in inputs for y in 1:rows for x in (together ? (1:1) : (1:columns))
        ]
    end
    return [
        (
            start(x, y, block) + max(first(inputs) - 1 - block * FLOATS, 0),
            [(x, y, input) for input in intersect(inputs, block*FLOATS+1:(block+1)*FLOATS)]
        ) for block in fld(first(inputs) - 1, FLOATS):fld(last(inputs) - 1, FLOATS) for y in 1:rows for x in 1:columns
    ]
end

"The segments of an output of width × height; with a pooling, pairs of two rows, and whole windows."
function segments(layer, from::Maps, start, (width, height), Q, pool)
    part(x, y) = Segment(
        start + offset(from, 0, 0) + x * from.floats + y * layer.stride[2] * row_floats(from),
        pool == 2 ? (y ÷ 2) * (width ÷ 2) + x ÷ 2 : y * width + x, min(Q, width ÷ pool * pool - x)
    )
    pool == 2 &&
        return [part(x, y) for top in 0:2:height÷2*2-1 for x in 0:Q:width÷2*2-1 for y in (top, top + 1)]
    return [part(x, y) for y in 0:height-1 for x in 0:Q:width-1]
end

run!(conv::BlockConv, buffers, tiles=1:length(conv.tiles)) =
    run!(conv, buffers, tiles, map(Val, conv.shape)..., Val(conv.from.floats))

function run!(conv::BlockConv, buffers, tiles, ::Val{V}, S, Q, step) where {V}
    input, output = buffers[conv.from.buffer], buffers[conv.to.buffer]
    add = conv.add === nothing ? output : buffers[conv.add.buffer]
    GC.@preserve conv input output add for strip in Iterators.partition(eachindex(conv.segments), conv.strip)
        for tile in view(conv.tiles, tiles)
            # The last tile may have fewer blocks.
            for_blocks(tile.blocks, Val(V)) do blocks
                run_strip!(conv, tile, strip, pointer(input), pointer(output), pointer(add), blocks, S, Q, step)
            end
        end
    end
end

"`f(Val(blocks))`, where `blocks` is V at most."
@inline for_blocks(f, blocks, ::Val{V}) where {V} = blocks == V ? f(Val(V)) : for_blocks(f, blocks, Val(V - 1))
@inline for_blocks(f, _, ::Val{1}) = f(Val(1))

@inline function run_strip!(conv, tile, strip, input, output, add, V, ::Val{S}, Q, step) where {S}
    (; segments, runs, weights, bias, to, writes, adds) = conv
    output += 4tile.block * block_floats(to)
    summand = conv.add === nothing ? C_NULL : add + 4tile.block * block_floats(conv.add)
    summand_block = conv.add === nothing ? 0 : 4block_floats(conv.add)
    for i in first(strip):S:last(strip)
        run_tile!(
            V, Val(S), Q, step, input, pointer(segments, i),
            pointer(runs, first(tile.runs)), length(tile.runs), at(weights, tile.weights),
            at(bias, tile.block * FLOATS), conv.limits, output, 4block_floats(to), pointer(writes),
            summand, summand_block, pointer(adds), conv.pool
        )
    end
end

# Written out by macros, since a tuple of this many vectors does not stay in registers: sum_1_3 is the sum of the first
# block for the third output, which for Q = 2 is the first of the second segment.
@generated function run_tile!(
    ::Val{V}, ::Val{S}, ::Val{Q}, ::Val{STEP}, input, segments, runs, run_count, weights, bias, limits, output, block,
    writes, add, add_block, adds, pool
) where {V,S,Q,STEP}
    quote
        $(Expr(:meta, :noinline))
        @nexprs $S s -> (segment_s = unsafe_load(segments, s); input_s = input + 4segment_s.reads)
        @nexprs $V v -> begin
            start = vload(Floats, bias + sizeof(Floats) * (v - 1))
            @nexprs $(S * Q) q -> sum_v_q = start
        end
        for run in 1:run_count
            bytes, count = unsafe_load(runs, run)
            for _ in 1:count
                @nexprs $V v -> weight_v = vload(Floats, weights + sizeof(Floats) * (v - 1))
                @nexprs $S s -> @nexprs $Q q -> begin
                    value = Floats(unsafe_load(input_s + bytes + $(4STEP) * (q - 1)))
                    @nexprs $V v -> sum_v_{(s - 1) * $Q + q} = muladd(value, weight_v, sum_v_{(s - 1) * $Q + q})
                end
                bytes += sizeof(Float32)
                weights += $V * sizeof(Floats)
            end
        end
        if add != C_NULL
            @nexprs $S s -> @nexprs $Q q -> if q <= segment_s.count
                place = add + 4unsafe_load(adds, segment_s.pixel + q)
                @nexprs $V v -> sum_v_{(s - 1) * $Q + q} += vload(Floats, place + (v - 1) * add_block)
            end
        end
        @nexprs $V v -> @nexprs $(S * Q) q -> sum_v_q = within(sum_v_q, limits)
        if pool == 2
            @nexprs $(Q ÷ 2) q -> begin
                if 2q <= segment_1.count
                    place = output + 4unsafe_load(writes, segment_1.pixel + q)
                    @nexprs $V v -> vstore(
                        larger(larger(sum_v_{2q - 1}, sum_v_{2q}), larger(sum_v_{2q - 1 + $Q}, sum_v_{2q + $Q})),
                        place + (v - 1) * block
                    )
                end
            end
        else
            @nexprs $S s -> @nexprs $Q q -> if q <= segment_s.count
                place = output + 4unsafe_load(writes, segment_s.pixel + q)
                @nexprs $V v -> vstore(sum_v_{(s - 1) * $Q + q}, place + (v - 1) * block)
            end
        end
        return nothing
    end
end

# ---- depthwise -------------------------------------------------------------------------------

"Whether each channel has its own kernel."
isdepthwise(layer::Conv) = layer.groups == size(layer.weight, 4) > 1 && size(layer.weight, 3) == 1

"""
    DepthwiseConv(layer, from, to; limits)

The convolution `layer` of Flux, of which each channel has its own kernel.
"""
struct DepthwiseConv
    from::Maps
    to::Maps
    limits::Tuple{Float32,Float32}
    offsets::Vector{Int}                # bytes before what the taps read
    weights::Vector{Float32}            # float × tap × block
    bias::Vector{Float32}
    segments::Vector{Segment}
    writes::Vector{Int}
end

const DEPTHWISE = 7     # outputs in a tile

function DepthwiseConv(layer::Conv{2}, from::Maps, to::Maps; limits=bounds(layer.σ))
    kernel = reverse(layer.weight; dims=(1, 2))
    columns, rows, _, channels = size(kernel)
    steps = taps(layer, from, 1:1)
    weights = zeros(Float32, FLOATS, columns * rows, blocks(to))
    bias = zeros(Float32, FLOATS * blocks(to))
    for channel in 1:channels, (i, (_, taps)) in enumerate(steps)
        block, place = fldmod1(channel, FLOATS)
        weights[place, i, block] = kernel[first(taps)[1], first(taps)[2], 1, channel]
    end
    layer.bias === false || copyto!(bias, layer.bias)
    parts = segments(layer, from, 0, conv_size(layer, size(from)), DEPTHWISE, 1)
    return DepthwiseConv(
        from, to, limits, [sizeof(Float32) * offset for (offset, _) in steps], vec(weights), bias, parts,
        pixel_offsets(to)
    )
end

function run!(conv::DepthwiseConv, buffers)
    (; from, to, limits, offsets, weights, bias, segments, writes) = conv
    input, output = buffers[from.buffer], buffers[to.buffer]
    GC.@preserve conv input output for block in 0:blocks(to)-1, segment in segments
        run_depthwise!(
            at(input, block * block_floats(from) + segment.reads), pointer(offsets), length(offsets),
            at(weights, block * FLOATS * length(offsets)), at(bias, block * FLOATS), limits,
            at(output, block * block_floats(to)), pointer(writes, segment.pixel + 1), segment.count
        )
    end
end

@generated function run_depthwise!(input, offsets, count, weights, bias, limits, output, writes, outputs)
    quote
        start = vload(Floats, bias)
        @nexprs $DEPTHWISE q -> sum_q = start
        for tap in 1:count
            place = input + unsafe_load(offsets, tap)
            weight = vload(Floats, weights + sizeof(Floats) * (tap - 1))
            @nexprs $DEPTHWISE q -> sum_q = muladd(vload(Floats, place + sizeof(Floats) * (q - 1)), weight, sum_q)
        end
        @nexprs $DEPTHWISE q -> begin
            q <= outputs && vstore(within(sum_q, limits), output + 4unsafe_load(writes, q))
        end
        return nothing
    end
end
