# What changes the form, picks, moves, or does nothing at all. `Flux.flatten` of (W, H, C, N) has the order of PyTorch's
# flatten of [N, C, H, W].

flux_layer(::Val{:flatten}, layer) = Flux.flatten
flux_layer(::Val{:dropout}, layer) = testmode!(Dropout(layer.settings[:p]))
flux_layer(::Val{:softmax}, layer) = length(layer.insize) == 1 ? softmax : channel_softmax

"The softmax over the channels of W×H×C×N."
channel_softmax(x) = softmax(x; dims=ndims(x) - 1)

flux_layer(::Val{:channels}, layer) = ChannelSlice(Int(layer.settings[:from]) + 1, Int(layer.settings[:to]))
flux_layer(::Val{:shuffle}, layer) = ChannelShuffle(Int(layer.settings[:groups]))
flux_layer(::Val{:pad}, layer) = Zeros(four_sides(layer.settings[:sides]))

"""
    ChannelSlice(first, last)

These channels, or these values of a vector, counted from 1.
"""
struct ChannelSlice
    first::Int
    last::Int
end

Flux.Functors.@leaf ChannelSlice
(layer::ChannelSlice)(x) = copy(selectdim(x, ndims(x) - 1, layer.first:layer.last))

"""
    ChannelShuffle(groups)

The first channel of each group, then the second of each, and so on, as torch.nn.ChannelShuffle.
"""
struct ChannelShuffle
    groups::Int
end

Flux.Functors.@leaf ChannelShuffle
function (layer::ChannelShuffle)(maps)
    width, height, channels, count = size(maps)
    grouped = reshape(maps, width, height, channels ÷ layer.groups, layer.groups, count)
    return reshape(permutedims(grouped, (1, 2, 4, 3, 5)), size(maps))
end

"""
    Zeros(border)

Zeros around each map: (left, right, top, bottom) of them.
"""
struct Zeros
    border::Dims{4}
end

Flux.Functors.@leaf Zeros
(layer::Zeros)(maps) = NNlib.pad_zeros(maps, layer.border; dims=(1, 2))
