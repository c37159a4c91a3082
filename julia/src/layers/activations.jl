# Activation functions, as layers of their own or inside of one.

"""
    activation(::Val{name}, settings)

The activation function of a name; settings that are not given have PyTorch's defaults.
"""
activation(::Val{:relu}, settings) = relu
activation(::Val{:relu6}, settings) = relu6
activation(::Val{:silu}, settings) = swish
activation(::Val{:mish}, settings) = mish
activation(::Val{:selu}, settings) = selu
activation(::Val{:softplus}, settings) = softplus
activation(::Val{:sigmoid}, settings) = sigmoid
activation(::Val{:hardswish}, settings) = hardswish
activation(::Val{:tanh}, settings) = tanh
activation(::Val{:identity}, settings) = identity
activation(::Val{:leaky_relu}, settings) = with(leakyrelu; slope=get(settings, :slope, 0.01))
activation(::Val{:elu}, settings) = with(elu; alpha=get(settings, :alpha, 1.0))
activation(::Val{:gelu}, settings) =
    get(settings, :approximate, "none") == "tanh" ? NNlib.gelu_tanh :
    NNlib.gelu_erf      # the exact form, x Φ(x), as PyTorch's GELU
activation(::Val{:hardsigmoid}, settings) =
    any(in(keys(settings)), (:alpha, :beta)) ?
    With(ramp, (alpha=Float32(get(settings, :alpha, 1 / 6)), beta=Float32(get(settings, :beta, 0.5)))) : hardσ
activation(::Val{name}, settings) where {name} =
    throw(
        StudyError(
            "the activation $(plain_text(String(name))) is not one that this version of PromptFlux knows; update it."
        )
    )

"""
    With(f, settings)

The function x -> f(x, settings...). Not a closure, so that it says what it is; it has no state.
"""
struct With{F,S} <: Function
    f::F
    settings::S
end

Flux.Functors.@leaf With
(with::With)(x) = with.f(x, with.settings...)
Base.show(io::IO, with::With) = print(io, with.f, with.settings)

# Flux's own leakyrelu has the slope 0.01, and its elu the alpha 1.
const DEFAULTS = Dict(leakyrelu => 0.01, elu => 1.0)
with(f; setting...) = only(values(setting)) == DEFAULTS[f] ? f : With(f, map(Float32, values(setting)))

ramp(x, alpha, beta) = clamp(muladd(alpha, x, beta), 0, 1)

"""
    Elementwise(σ)

A layer that applies the activation function `σ` to every number.
"""
struct Elementwise{F}
    σ::F
end

(layer::Elementwise)(x) = NNlib.fast_act(layer.σ, x).(x)
Base.show(io::IO, layer::Elementwise) = print(io, "Elementwise(", layer.σ, ")")

const ELEMENTWISE = Union{
    Val{:relu},Val{:relu6},Val{:silu},Val{:mish},Val{:sigmoid},Val{:hardswish},Val{:tanh},Val{:identity},
    Val{:leaky_relu},Val{:elu},Val{:selu},Val{:softplus},Val{:gelu},Val{:hardsigmoid},
}

flux_layer(kind::ELEMENTWISE, layer) = Elementwise(activation(kind, layer.settings))
