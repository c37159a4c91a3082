# Convolution. What PyTorch has as [O, I, kH, kW] is (kW, kH, I, O) here, the layout of Flux.Conv; but
# PyTorch correlates and Flux.Conv convolves, so the kernels are flipped, once, on the way.

flux_layer(::Val{:conv}, layer) = Conv(
    layer.settings[:kernel], layer.insize[3] => layer.outsize[3], activation(layer);
    stride=layer.settings[:stride], pad=pad(layer), dilation=layer.settings[:dilation],
    groups=Int(layer.settings[:groups]), bias=layer.settings[:bias], init=Flux.zeros32,
)

torch_sizes(::Val{:conv}, layer) = [
    "weight" =>
        (layer.settings[:kernel]..., layer.insize[3] ÷ layer.settings[:groups], layer.outsize[3]),
    (layer.settings[:bias] ? ["bias" => layer.outsize[3:3]] : [])...,
]

torch_weights(::Type{<:Conv}, field) = ["weight" => flipped(field(:weight)), "bias" => field(:bias)]

function take_weights!(layer::Conv, weight)
    reverse!(copyto!(layer.weight, weight("weight")); dims=(1, 2))
    layer.bias === false || copyto!(layer.bias, weight("bias"))
    return layer
end

flipped(array) = array
flipped(array::Array{<:Any,4}) = reverse(array; dims=(1, 2))
