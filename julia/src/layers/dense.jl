# The fully connected layer. PyTorch's weight [out, in] is (in, out) here, the transpose of Flux's.

flux_layer(::Val{:dense}, layer) = Dense(
    only(layer.insize) => only(layer.outsize), activation(layer);
    bias=get(layer.settings, :bias, true), init=Flux.zeros32,
)

torch_sizes(::Val{:dense}, layer) = [
    "weight" => (only(layer.insize), only(layer.outsize)),
    (get(layer.settings, :bias, true) ? ["bias" => layer.outsize] : [])...,
]

torch_weights(::Type{<:Dense}, field) = ["weight" => transposed(field(:weight)), "bias" => field(:bias)]

function take_weights!(layer::Dense, weight)
    permutedims!(layer.weight, weight("weight"), (2, 1))
    layer.bias === false || copyto!(layer.bias, weight("bias"))
    return layer
end

transposed(array) = array
transposed(array::Matrix) = permutedims(array)
