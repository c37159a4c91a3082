# From a picture to the tensor of a classifier's input, as scripts/promptflux/images/fitting.py goes it:
# gray -> fit and antialiased resize, in 8 bits -> / 255 -> (x - mean) / std. The resize is
# Pillow's, down to its rounding (src/libImaging/Resample.c).

"""
    image_tensor(picture, input) -> Array{Float32,3}

The tensor, width × height × channels, of an upright 8-bit RGB picture.
"""
function image_tensor(picture::Picture, input::InputSpec)
    fitted = fit(input.channels == "gray" ? gray(picture) : picture, input)
    channel(values) = reshape(values, 1, 1, :)
    return (fitted ./ 255.0f0 .- channel(input.mean)) ./ channel(input.std)
end

"ITU-R BT.601 luma in Pillow's fixed point."
gray(rgb::Picture) = reshape(luma.(view(rgb, :, :, 1), view(rgb, :, :, 2), view(rgb, :, :, 3)), size(rgb)[1:2]..., 1)

luma(red, green, blue) = ((19595 * Int32(red) + 38470 * Int32(green) + 7471 * Int32(blue) + 0x8000) >> 16) % UInt8

"A picture in the size of `input`: cut to its aspect ratio, padded with black, or stretched."
function fit(picture::Picture, input::InputSpec)
    size_, target = size(picture)[1:2], (input.width, input.height)
    input.resize > 0 && return cut_out(picture, input.resize, target, input.filter)
    input.fit == "stretch" && return resize(picture, target, input.filter)
    input.fit == "crop" && return resize(picture, target, input.filter; box=centered_box(size_, target))
    inner = contained_size(size_, target)
    left, top = (target .- inner) .÷ 2
    canvas = zeros(UInt8, target..., size(picture, 3))
    canvas[left+1:left+inner[1], top+1:top+inner[2], :] = resize(picture, inner, input.filter)
    return canvas
end

"The center, of the size `target`, of a picture whose shorter side gets `shorter` pixels; as torchvision's Resize and CenterCrop."
function cut_out(picture, shorter, target, filter)
    width, height = size(picture)[1:2]
    longer = trunc(Int, shorter * max(width, height) / min(width, height))
    whole = width <= height ? (shorter, longer) : (longer, shorter)
    prod(whole) <= MOST_PIXELS ||
        throw(StudyError("a picture of $(times((width, height))) pixels would become one of $(times(whole))."))
    left, top = round.(Int, (whole .- target) ./ 2)      # half a pixel is rounded to the even number
    return resize(picture, whole, filter)[left+1:left+target[1], top+1:top+target[2], :]
end

"The largest centered box (left, top, right, bottom) with the aspect ratio of `target`."
function centered_box((width, height), target)
    box_width, box_height = Float64(width), Float64(height)
    if width * target[2] > height * target[1]
        box_width = height * target[1] / target[2]
    else
        box_height = width * target[2] / target[1]
    end
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return (left, top, left + box_width, top + box_height)
end

"The size of a picture scaled to just fit into `target`, halves rounded up, at least 1."
function contained_size((width, height), target)
    width * target[2] > height * target[1] &&
        return (target[1], max(1, (2height * target[1] + width) ÷ 2width))
    return (max(1, (2width * target[2] + height) ÷ 2height), target[2])
end

# The filters: support (radius at scale 1) and weight at a distance.
const FILTERS = Dict{String,Tuple{Float64,Function}}(
    "box" => (0.5, x -> -0.5 < x <= 0.5 ? 1.0 : 0.0),
    "bilinear" => (1.0, x -> max(1 - abs(x), 0.0)),
    "bicubic" => (2.0, x -> bicubic(abs(x))),
    "lanczos" => (3.0, x -> -3 <= x < 3 ? pillow_sinc(x) * pillow_sinc(x / 3) : 0.0),
)

# Keys' cubic convolution with a = -1/2.
bicubic(x) = x < 1 ? (1.5x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0.0

pillow_sinc(x) = x == 0 ? 1.0 : sin(x * π) / (x * π)

"""
    resize(picture, (width, height), filter; box) -> Picture

Resize the part `box` (left, top, right, bottom) of a picture. When it reduces, the filter's
support grows with the factor, so that every pixel counts (antialiasing).
"""
function resize(picture::Picture, (width, height), filter; box=(0, 0, size(picture)[1:2]...))
    left, top, right, bottom = Float32.(box)    # Pillow holds the box in 32 bits
    if filter == "nearest"
        columns = nearest(left, right, width, size(picture, 1))
        rows = nearest(top, bottom, height, size(picture, 2))
        return picture[columns, rows, :]
    end
    haskey(FILTERS, filter) ||
        throw(StudyError("the filter $filter is not one of nearest, $(join(sort!(collect(keys(FILTERS))), ", "))."))
    across(picture) = resample_columns(picture, taps(size(picture, 1), left, right, width, FILTERS[filter]...))
    along(picture) = resample_rows(picture, taps(size(picture, 2), top, bottom, height, FILTERS[filter]...))
    # Very tall pictures are first made shorter (PIL.Image.resize).
    tall = size(picture, 2) > 100 * size(picture, 1) && height < size(picture, 2)
    return tall ? across(along(picture)) : along(across(picture))
end

"The source pixels, from 1, that nearest-neighbour sampling takes."
function nearest(from::Float32, to::Float32, outputs, inputs)
    step = Float64(to - from) / outputs
    # Summed up step by step as in Pillow's ImagingScaleAffine, to round alike.
    positions = accumulate(+, Iterators.flatten((from + step * 0.5, Iterators.repeated(step, outputs - 1))))
    return clamp.(floor.(Int, positions) .+ 1, 1, inputs)
end

const PRECISION_BITS = 32 - 8 - 2

"""
The filter of one direction: output pixel `i` is the sum of `weights[:, i]` times the source
pixels from `first[i]` on, in fixed point of `PRECISION_BITS` bits after the point.
"""
struct Taps
    first::Vector{Int}
    count::Vector{Int}
    weights::Matrix{Int32}
end

"As `precompute_coeffs` and `normalize_coeffs_8bpc` of Pillow."
function taps(inputs, from::Float32, to::Float32, outputs, support, filter)
    scale = Float64(to - from) / outputs
    filter_scale = max(scale, 1.0)
    support *= filter_scale
    first, count = zeros(Int, outputs), zeros(Int, outputs)
    weights = zeros(Int32, 2ceil(Int, support) + 1, outputs)
    for i in 1:outputs
        center = from + (i - 0.5) * scale
        low = max(trunc(Int, center - support + 0.5), 0)
        high = min(trunc(Int, center + support + 0.5), inputs)
        exact = [filter((x - center + 0.5) * (1 / filter_scale)) for x in low:high-1]
        total = foldl(+, exact)
        first[i], count[i] = low + 1, high - low
        for (k, weight) in enumerate(exact)
            share = total == 0 ? weight : weight / total
            weights[k, i] = trunc(Int32, share * (1 << PRECISION_BITS) + copysign(0.5, share))
        end
    end
    return Taps(first, count, weights)
end

function resample_columns(picture::Picture, taps::Taps)
    output = Picture(undef, length(taps.first), size(picture)[2:3]...)
    Threads.@threads for y in axes(picture, 2)
        for c in axes(picture, 3), i in axes(output, 1)
            sum = Int32(1) << (PRECISION_BITS - 1)
            @inbounds @simd for k in 1:taps.count[i]
                sum += picture[taps.first[i]+k-1, y, c] * taps.weights[k, i]
            end
            output[i, y, c] = clip8(sum)
        end
    end
    return output
end

function resample_rows(picture::Picture, taps::Taps)
    output = Picture(undef, size(picture, 1), length(taps.first), size(picture, 3))
    sums = Vector{Int32}(undef, size(picture, 1))
    for c in axes(picture, 3), i in axes(output, 2)
        fill!(sums, Int32(1) << (PRECISION_BITS - 1))
        for k in 1:taps.count[i]
            y, weight = taps.first[i] + k - 1, taps.weights[k, i]
            @inbounds @simd for x in eachindex(sums)
                sums[x] += picture[x, y, c] * weight
            end
        end
        output[:, i, c] .= clip8.(sums)
    end
    return output
end

clip8(sum::Int32) = clamp(sum >> PRECISION_BITS, 0, 255) % UInt8
