# Convolution, batch normalization and pooling of single images on the CPU, instead of NNlib's:
# no buffer of patches, outputs into buffers that are kept, several layers in one pass, and
# code that is compiled once, where NNlib compiles a convolution or pooling anew for each size.
#
# Each kernel is called with an image, width × height × channels × 1, and returns its output, a
# buffer that its next call overwrites; so each task needs kernels of its own.

# ---- batch normalization --------------------------------------------------------------

"""
    ChannelNorm(layer)

The batch normalization `layer` of Flux in test mode, as a factor and a summand for each channel.
"""
struct ChannelNorm{F,V}
    λ::F
    scale::V
    shift::V
end

function ChannelNorm(layer::BatchNorm)
    scale = @. layer.γ / sqrt(layer.σ² + layer.ϵ)
    return ChannelNorm(NNlib.fast_act(layer.λ, scale), scale, @. layer.β - layer.μ * scale)
end

function (norm::ChannelNorm)(image)
    (; λ, scale, shift) = norm
    per_channel(values) = reshape(values, 1, 1, :)
    return @. λ(muladd(image, $per_channel(scale), $per_channel(shift)))
end

# ---- convolution ----------------------------------------------------------------------
#
# An image lies in memory as a vector of floats, row after row, channel after channel. If the
# kernel stands at position p of it, each of its taps reads at p plus an offset that is the same
# for every p. So the sums for many p at once are a sum of vectors,
#
#     sums[p:p+n] = Σ_tap weight[tap] * input[p+offset[tap] : p+offset[tap]+n],
#
# which runs over the ends of the rows; what comes out there is left out in the end. A tile of
# some vectors × some output channels is summed in registers, over all taps: 3 × 4 vectors of
# 8 floats, and what is multiplied, fill the 16 vector registers of AVX2. Bias, activation and
# batch normalization come while the sums are still there.

const FLOATS = 8                    # in a vector
const VECTORS = 3                   # in a tile
const CHANNELS = 4                  # of the output, in a tile
const TILE = FLOATS * VECTORS
const SUMS = 24 * 1024 ÷ sizeof(Float32)    # that the first-level cache holds

const Floats = Vec{FLOATS,Float32}

"""
    DirectConv(layer, insize; norm = nothing, pool = 1)

The convolution `layer` of Flux for images of `insize` (width, height, channels), with what comes
after it: the batch normalization `norm`, and a max-pooling with the window and stride `pool`.
"""
struct DirectConv{F,N}
    σ::F
    norm::N                         # nothing, or a ChannelNorm in tiles
    pool::Int
    bias::Array{Float32,3}          # channel in the tile × tile × group, filled up with zeros
    weights::Array{Float32,4}       # channel in the tile × tap × tile × group, filled up with zeros
    offsets::Vector{Int}            # of the taps
    stride::Dims{2}
    pad::Dims{2}
    input::Array{Float32,3}         # the image with its border
    outsize::Dims{2}                # of the convolution
    rows::Int                       # of the output, made in one go
    sums::Matrix{Float32}           # position × channel in the tile
    output::Array{Float32,4}
end

function DirectConv(layer::Conv{2}, insize; norm=nothing, pool=1)
    columns, rows, inputs, outputs = size(layer.weight)
    width, height = insize[1:2] .+ border(layer) .+ far_border(layer)
    outsize = ((width, height) .- layer.dilation .* ((columns, rows) .- 1) .- 1) .÷ layer.stride .+ 1

    # Flux.Conv turns the kernel, the taps here do not.
    taps = reshape(reverse(layer.weight; dims=(1, 2)), :, outputs ÷ layer.groups, layer.groups)
    weights = zeros(Float32, CHANNELS, size(taps, 1), cld(size(taps, 2), CHANNELS), layer.groups)
    for channel in axes(taps, 2)
        tile, place = fldmod1(channel, CHANNELS)
        weights[place, :, tile, :] = taps[:, channel, :]
    end
    tiles(values) = in_tiles(values, layer.groups)
    offset(x, y, channel) = (channel * height + y * layer.dilation[2]) * width + x * layer.dilation[1]
    offsets = vec([offset(x, y, channel) for x in 0:columns-1, y in 0:rows-1, channel in 0:inputs-1])

    # As many windows of the pooling as the cache holds the sums of, in blocks of about equal size.
    windows = outsize[2] ÷ pool
    most = clamp(SUMS ÷ (CHANNELS * width * pool), 1, windows)
    rows = pool * cld(windows, cld(windows, most))
    # A tile that is larger than the image reads behind its end.
    slack = cld(TILE, width * height)
    return DirectConv(
        NNlib.fast_act(layer.σ, weights),
        norm === nothing ? nothing : ChannelNorm(norm.λ, tiles(norm.scale), tiles(norm.shift)), pool,
        tiles(layer.bias === false ? zeros(Float32, outputs) : layer.bias), weights, offsets, layer.stride,
        border(layer),
        zeros(Float32, width, height, insize[3] + slack), outsize, rows,
        zeros(Float32, rows * width + TILE, CHANNELS), zeros(Float32, (outsize .÷ pool)..., outputs, 1),
    )
end

"A value for each channel as channel in the tile × tile × group, filled up with zeros."
function in_tiles(values, groups)
    channels = length(values) ÷ groups
    tiled = zeros(Float32, CHANNELS * cld(channels, CHANNELS), groups)
    tiled[1:channels, :] = reshape(values, channels, groups)
    return reshape(tiled, CHANNELS, :, groups)
end

function (conv::DirectConv)(image)
    add_border!(conv.input, image, conv.pad)
    last_row = size(conv.output, 2) * conv.pool
    for group in axes(conv.weights, 4), top in 0:conv.rows:last_row-1
        top = min(top, last_row - conv.rows)        # the last block of rows overlaps the one before
        for tile in axes(conv.weights, 3)
            sum_rows!(conv, top, tile, group)
            finish!(conv, top, tile, group)
        end
    end
    return conv.output
end

function add_border!(input, image, (left, top))
    width, height, channels = size(image)
    input[left+1:left+width, top+1:top+height, 1:channels] = image
end

"The values for the `conv.rows` rows of output after `top`, of the channels of one tile."
function sum_rows!(conv::DirectConv, top, tile, group)
    (; input, weights, stride, outsize, rows) = conv
    width, height = size(input)
    inputs = (size(input, 3) - cld(TILE, width * height)) ÷ size(weights, 4)
    start = (group - 1) * inputs * width * height + top * stride[2] * width
    row = (outsize[1] - 1) * stride[1] + 1          # positions from its first output to its last
    if stride[2] == 1
        sum_taps!(conv, 0, (rows - 1) * width + row, start, tile, group)
    else
        for i in 0:rows-1
            sum_taps!(conv, i * width, row, start + i * stride[2] * width, tile, group)
        end
    end
end

"Sum over all taps for `count` positions of the input after `start`, into the sums after `to`."
function sum_taps!(conv::DirectConv, to, count, start, tile, group)
    (; input, sums, weights, offsets, bias, norm, σ) = conv
    tile_weights = pointer(weights, LinearIndices(weights)[1, 1, tile, group])
    tile_bias, tile_norm = of_tile(bias, tile, group), of_tile(norm, tile, group)
    GC.@preserve input sums weights offsets begin
        for position in 0:TILE:count-1
            position = max(min(position, count - TILE), 0)      # the last tile overlaps the one before
            values = sum_tile(
                pointer(input, start + position + 1),
                tile_weights,
                pointer(offsets),
                length(offsets),
                tile_bias
            )
            output = pointer(sums, to + position + 1)
            for (place, vectors) in enumerate(finished(values, σ, tile_norm))
                store!(output + (place - 1) * sizeof(Float32) * size(sums, 1), vectors)
            end
        end
    end
end

of_tile(::Nothing, tile, group) = nothing
of_tile(values::Array, tile, group) = ntuple(place -> @inbounds(values[place, tile, group]), Val(CHANNELS))
of_tile(norm::ChannelNorm, tile, group) =
    ChannelNorm(norm.λ, of_tile(norm.scale, tile, group), of_tile(norm.shift, tile, group))

"The sums of one tile: for each output channel a tuple of vectors."
@inline function sum_tile(input::Ptr{Float32}, weights::Ptr{Float32}, offsets::Ptr{Int}, taps, bias)
    sums = map(value -> ntuple(_ -> Floats(value), Val(VECTORS)), bias)
    for tap in 0:taps-1
        values = input + sizeof(Float32) * unsafe_load(offsets, tap + 1)
        sums = add_tap(sums, load(values), weights + sizeof(Float32) * CHANNELS * tap)
    end
    return sums
end

@inline function add_tap(sums, values, weights::Ptr{Float32})
    weight = ntuple(channel -> Floats(unsafe_load(weights, channel)), Val(CHANNELS))
    return map((sums, w) -> map((sum, x) -> muladd(x, w, sum), sums, values), sums, weight)
end

@inline load(input::Ptr{Float32}) = ntuple(i -> vload(Floats, input + sizeof(Floats) * (i - 1)), Val(VECTORS))
@inline store!(output::Ptr{Float32}, vectors) =
    foreach((i, vector) -> vstore(vector, output + sizeof(Floats) * (i - 1)), ntuple(identity, Val(VECTORS)), vectors)

"A tile after the activation, and after the batch normalization if there is one."
@inline finished(tile, σ, ::Nothing) = map(vectors -> map(vector -> activated(σ, vector), vectors), tile)
@inline finished(tile, σ, norm::ChannelNorm) =
    map(finished(tile, σ, nothing), norm.scale, norm.shift) do vectors, scale, shift
        map(vector -> activated(norm.λ, muladd(vector, Floats(scale), Floats(shift))), vectors)
    end

@inline activated(::typeof(identity), vector) = vector
@inline activated(::typeof(relu), vector) = vifelse(vector < 0.0f0, Floats(0.0f0), vector)   # NaN stays NaN
@noinline activated(σ, vector) = Floats(ntuple(i -> σ(vector[i]), Val(FLOATS)))

"From the sums to the output: pooling, and the ends of the rows are left out."
function finish!(conv::DirectConv, top, tile, group)
    (; sums, pool, stride, output) = conv
    group_channels = size(output, 3) ÷ size(conv.weights, 4)
    before = CHANNELS * (tile - 1)
    width = size(conv.input, 1)
    for place in 1:min(CHANNELS, group_channels - before)
        channel = (group - 1) * group_channels + before + place
        values = view(sums, :, place)
        for row in 1:conv.rows÷pool
            first = (row - 1) * pool * width
            target = view(output, :, top ÷ pool + row, channel, 1)
            # A stride that the compiler knows to be 1 makes loops of vectors.
            if stride[1] == 1
                take_rows!(target, values, first, width, 1, pool)
            else
                take_rows!(target, values, first, width, stride[1], pool)
            end
        end
    end
end

"One row of output: a row of `values`, or the largest of each window of 2 × 2 in two rows."
@inline function take_rows!(output, values, first, width, stride, pool)
    if pool == 1
        @inbounds @simd for x in eachindex(output)
            output[x] = values[first+(x-1)*stride+1]
        end
    else
        @inbounds @simd for x in eachindex(output)
            i = first + 2 * (x - 1) * stride + 1
            output[x] = larger(larger(values[i], values[i+stride]), larger(values[i+width], values[i+width+stride]))
        end
    end
end

larger(a, b) = ifelse(b > a, b, a)      # without the care for NaN and -0.0 that `max` takes

# ---- pooling --------------------------------------------------------------------------

"""
    DirectPool(layer, outsize)

The pooling `layer` of Flux. A mean counts the border as zeros, as Flux and PyTorch do.
"""
struct DirectPool{F}
    combine::F
    start::Float32
    factor::Float32
    kernel::Dims{2}
    stride::Dims{2}
    pad::Dims{2}
    output::Array{Float32,4}
end

DirectPool(layer::MaxPool{2}, outsize) =
    DirectPool(larger, -Inf32, 1.0f0, layer.k, layer.stride, border(layer), zeros(Float32, outsize..., 1))
DirectPool(layer::MeanPool{2}, outsize) =
    DirectPool(+, 0.0f0, 1.0f0 / prod(layer.k), layer.k, layer.stride, border(layer), zeros(Float32, outsize..., 1))

function (pool::DirectPool)(image)
    (; combine, start, factor, output) = pool
    width, height = size(image)
    windows(count, side, i) = [window(side, pool.kernel[i], pool.stride[i], pool.pad[i], k) for k in 1:count]
    columns, rows = windows(size(output, 1), width, 1), windows(size(output, 2), height, 2)
    for channel in axes(output, 3), y in axes(output, 2), x in axes(output, 1)
        value = start
        for v in rows[y], u in columns[x]
            value = combine(value, image[u, v, channel, 1])
        end
        output[x, y, channel, 1] = factor * value
    end
    return output
end

"The pixels of a side that the `k`th window covers."
function window(side, kernel, stride, pad, k)
    first = (k - 1) * stride - pad + 1
    return max(first, 1):min(first + kernel - 1, side)
end
