# Activation functions, as layers of their own or inside of one.

"The activation function of a name."
activation(name::Symbol) = activation(Val(name))
activation(::Val{:relu}) = relu
activation(::Val{:gelu}) = NNlib.gelu_erf     # the exact form, x Φ(x), as PyTorch's GELU
activation(::Val{:sigmoid}) = sigmoid
activation(::Val{:tanh}) = tanh
activation(::Val{:leaky_relu}) = leakyrelu
activation(::Val{:identity}) = identity
activation(::Val{name}) where {name} =
    throw(
        StudyError(
            "the activation $(plain_text(String(name))) is not one that this version of PromptFlux knows; update it."
        )
    )

"""
    Elementwise(σ)

A layer that applies the activation function `σ` to every number.
"""
struct Elementwise{F}
    σ::F
end

(layer::Elementwise)(x) = NNlib.fast_act(layer.σ, x).(x)
Base.show(io::IO, layer::Elementwise) = print(io, "Elementwise(", layer.σ, ")")

const ELEMENTWISE = Union{Val{:relu},Val{:gelu},Val{:sigmoid},Val{:tanh},Val{:identity}}

flux_layer(kind::ELEMENTWISE, layer) = Elementwise(activation(kind))

# Flux's own leakyrelu has the slope 0.01.
function flux_layer(::Val{:leaky_relu}, layer)
    slope = layer.settings[:slope]
    return Elementwise(slope == 0.01 ? leakyrelu : Base.Fix2(leakyrelu, Float32(slope)))
end
