# Pooling. A mean counts the border as zeros, in Flux as in PyTorch, if nothing else is said.

function flux_layer(::Val{:maxpool}, layer)
    haskey(layer.settings, :size) && return ToSize(maximum, layer.outsize[1:2])
    kernel, stride, padding = (layer.settings[key] for key in (:kernel, :stride, :padding))
    dilation = get(layer.settings, :dilation, (1, 1))
    dilation == (1, 1) || return DilatedMax(kernel, stride, four_sides(padding), dilation)
    symmetric(padding, kernel) && return MaxPool(kernel; stride, pad=pad(layer))
    return Bordered(-Inf32, four_sides(padding), MaxPool(kernel; stride))
end

function flux_layer(::Val{:meanpool}, layer)
    haskey(layer.settings, :size) && return ToSize(average, layer.outsize[1:2])
    kernel, stride, padding = (layer.settings[key] for key in (:kernel, :stride, :padding))
    all_count = get(layer.settings, :count_include_pad, true)
    if all_count && !get(layer.settings, :ceil_mode, false)
        symmetric(padding, kernel) && return MeanPool(kernel; stride, pad=pad(layer))
        return Bordered(0.0f0, four_sides(padding), MeanPool(kernel; stride))
    end
    left, right, top, bottom = four_sides(padding)
    room = layer.insize[1:2] .+ (left + right, top + bottom)
    beyond = max.((layer.outsize[1:2] .- 1) .* stride .+ kernel .- room, 0)
    return MeanOf(all_count, (left, right, top, bottom), (0, beyond[1], 0, beyond[2]), MeanPool(kernel; stride))
end

flux_layer(::Val{:globalmaxpool}, layer) = GlobalMaxPool()
flux_layer(::Val{:globalmeanpool}, layer) = GlobalMeanPool()

"Whether Flux's own layer takes a padding on every device: cuDNN wants the same on both sides, at most half of the kernel."
symmetric(padding, kernel) = length(padding) == 2 && all(2 .* padding .<= kernel)

"""
    Bordered(value, border, pool)

Maps go into the layer `pool` with `value` around them; border: (left, right, top, bottom).
"""
struct Bordered{P}
    value::Float32
    border::Dims{4}
    pool::P
end

Flux.Functors.@leaf Bordered
(layer::Bordered)(maps) = layer.pool(NNlib.pad_constant(maps, layer.border, layer.value; dims=(1, 2)))

"""
    MeanOf(count_border, border, beyond, pool)

The mean of each window of `pool` over what counts of it: the maps, and the zeros of `border` if `count_border`, but
not those of `beyond`, which fill up last windows that are not whole. Both are (left, right, top, bottom).
"""
struct MeanOf{P}
    count_border::Bool
    border::Dims{4}
    beyond::Dims{4}
    pool::P
end

Flux.Functors.@leaf MeanOf
function (layer::MeanOf)(maps)
    around(values, border, value) = NNlib.pad_constant(values, border, value; dims=(1, 2))
    counted = ignore_derivatives(() -> fill!(similar(maps, size(maps)[1:2]..., 1, 1), 1))
    share(values, value) = layer.pool(around(around(values, layer.border, value), layer.beyond, 0))
    return share(maps, 0) ./ share(counted, layer.count_border)
end

"""
    DilatedMax(kernel, stride, border, dilation)

The largest value of each window whose pixels are `dilation` apart; border: (left, right, top, bottom) of what is
smaller than anything.
"""
struct DilatedMax
    kernel::Dims{2}
    stride::Dims{2}
    border::Dims{4}
    dilation::Dims{2}
end

Flux.Functors.@leaf DilatedMax
function (layer::DilatedMax)(maps)
    (; kernel, stride, border, dilation) = layer
    maps = NNlib.pad_constant(maps, border, -Inf32; dims=(1, 2))
    places = (size(maps)[1:2] .- dilation .* (kernel .- 1) .- 1) .÷ stride .+ 1
    pixels(k, axis) = range(1 + k * dilation[axis]; step=stride[axis], length=places[axis])
    taps = (view(maps, pixels(u, 1), pixels(v, 2), :, :) for u in 0:kernel[1]-1, v in 0:kernel[2]-1)
    return reduce((a, b) -> max.(a, b), collect(taps))
end

"""
    ToSize(f, outsize)

Maps of the width and height `outsize`, whatever comes in: `f`, `maximum` or `average`, over windows that meet or overlap
by a pixel. As torch.nn.AdaptiveMaxPool2d; Flux's AdaptiveMaxPool has other windows where the sizes do not divide.
"""
struct ToSize{F}
    f::F
    outsize::Dims{2}
end

Flux.Functors.@leaf ToSize
function (layer::ToSize)(maps)
    windows(from, to) = ignore_derivatives(() -> [i*from÷to+1:cld((i + 1) * from, to) for i in 0:to-1])
    for axis in 1:2
        parts = [
            layer.f(selectdim(maps, axis, window); dims=axis) for
            window in windows(size(maps, axis), layer.outsize[axis])
        ]
        maps = cat(parts...; dims=axis)
    end
    return maps
end

average(values; dims) = sum(values; dims) ./ Float32(size(values, dims))
