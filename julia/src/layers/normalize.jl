# Batch normalization, with the mean and variance that training left.

function flux_layer(::Val{:batchnorm}, layer)
    norm = BatchNorm(last(layer.insize), activation(layer); eps=Float32(layer.settings[:eps]))
    return testmode!(get(layer.settings, :affine, true) ? norm : without_affine(norm))
end

# Flux's own layer with affine=false has nothing for γ and β; here they are the numbers that they stand for, which the
# fast kernels compute with. No array: no parameter.
without_affine(norm) = BatchNorm(
    norm.λ, 0.0f0, 1.0f0, norm.μ, norm.σ², norm.ϵ, norm.momentum, false, norm.track_stats, norm.active, norm.chs
)

torch_sizes(::Val{:batchnorm}, layer) = [
    parameter => layer.insize[end:end] for
    (name, parameter) in BATCHNORM if name in (:μ, :σ²) || get(layer.settings, :affine, true)
]

# The field of Flux and the parameter of PyTorch.
const BATCHNORM = (:γ => "weight", :β => "bias", :μ => "running_mean", :σ² => "running_var")

torch_weights(::Type{<:BatchNorm}, field) = [parameter => field(name) for (name, parameter) in BATCHNORM]

function take_weights!(layer::BatchNorm, weight)
    for (name, parameter) in BATCHNORM
        array = getfield(layer, name)
        array isa AbstractArray && copyto!(array, weight(parameter))
    end
    return layer
end

# ---- with the mean and variance of the image itself -----------------------------------------

flux_layer(::Val{:groupnorm}, layer) = testmode!(
    GroupNorm(
        last(layer.insize), Int(layer.settings[:groups]), activation(layer);
        affine=layer.settings[:affine], eps=Float32(layer.settings[:eps]),
    ),
)

torch_sizes(::Val{:groupnorm}, layer) =
    layer.settings[:affine] ? ["weight" => layer.insize[end:end], "bias" => layer.insize[end:end]] : []

torch_weights(::Type{<:GroupNorm}, field) = ["weight" => field(:γ), "bias" => field(:β)]

function take_weights!(layer::GroupNorm, weight)
    layer.affine || return layer
    copyto!(layer.γ, weight("weight"))
    copyto!(layer.β, weight("bias"))
    return layer
end

# Of a vector or of all values it is Flux's own, whose epsilon is squared inside of the root (Flux.normalise).
function flux_layer(::Val{:layernorm}, layer)
    affine, eps = layer.settings[:affine], Float32(sqrt(layer.settings[:eps]))
    over_all = layer.settings[:over] == "all" || length(layer.insize) == 1
    over_all && return LayerNorm(layer.insize, activation(layer); affine, eps)
    scale = affine ? Flux.Scale(1, 1, last(layer.insize), activation(layer)) : Elementwise(activation(layer))
    return PixelLayerNorm(scale, eps)
end

"""
    PixelLayerNorm(diag, ϵ)

Layer normalization over the channels of each pixel, and then the layer `diag`; as ConvNeXt has it.
"""
struct PixelLayerNorm{D}
    diag::D
    ϵ::Float32
end

Flux.@layer :noexpand PixelLayerNorm
(layer::PixelLayerNorm)(maps) = layer.diag(Flux.normalise(maps; dims=3, eps=layer.ϵ))

torch_sizes(::Val{:layernorm}, layer) =
    layer.settings[:affine] ?
    ["weight", "bias"] .=> Ref(layer.settings[:over] == "all" ? layer.insize : layer.insize[end:end]) : []

torch_weights(::Type{<:LayerNorm}, field) = scale_weights(inner_field(field(:diag)), identity)
torch_weights(::Type{<:PixelLayerNorm}, field) = scale_weights(inner_field(field(:diag)), channel_vector)

take_weights!(layer::Union{LayerNorm,PixelLayerNorm}, weight) =
    (layer.diag isa Flux.Scale && take_weights!(layer.diag, weight); layer)

"A function from a field to its value in the state of a layer inside of a layer."
inner_field(state::NamedTuple) = name -> get(state, name, nothing)
inner_field(state) = plain_state(state)

# ---- factors and summands that are learned ---------------------------------------------------

"Ones before the channels, so that an array with a number for each channel is multiplied with maps W×H×C×N."
before_channels(layer) = ntuple(_ -> 1, length(layer.insize) - 1)

flux_layer(::Val{:affine}, layer) =
    layer.settings[:weight] ?
    Flux.Scale(before_channels(layer)..., last(layer.insize), activation(layer); bias=layer.settings[:bias]) :
    Shift(zeros(Float32, before_channels(layer)..., last(layer.insize)), activation(layer))

"""
    Shift(bias, σ)

A summand for each channel, and the activation function `σ` of that: `Flux.Scale` without its scale.
"""
struct Shift{A,F}
    bias::A
    σ::F
end

Flux.@layer Shift
(layer::Shift)(x) = NNlib.fast_act(layer.σ, x).(x .+ layer.bias)

torch_sizes(::Val{:affine}, layer) =
    [name => layer.insize[end:end] for name in ("weight", "bias") if layer.settings[Symbol(name)]]

torch_weights(::Type{<:Flux.Scale}, field) = scale_weights(field, channel_vector)
torch_weights(::Type{<:Shift}, field) = ["bias" => channel_vector(field(:bias))]
scale_weights(field, form) = ["weight" => form(field(:scale)), "bias" => form(field(:bias))]

function take_weights!(layer::Flux.Scale, weight)
    copyto!(layer.scale, weight("weight"))
    layer.bias === false || copyto!(layer.bias, weight("bias"))
    return layer
end
take_weights!(layer::Shift, weight) = (copyto!(layer.bias, weight("bias")); layer)

# What stands as 1×1×C here is [C] in PyTorch; what is no array is handed on.
channel_vector(value) = value
channel_vector(array::Array) = vec(array)

"""
    PReLU(weight)

x, or where it is negative the weight of its channel, or of all, times x.
"""
struct PReLU{A}
    weight::A
end

Flux.@layer PReLU
function (layer::PReLU)(x)
    weight = reshape(layer.weight, ntuple(_ -> 1, ndims(x) - 2)..., :)
    return @. max(x, 0) + weight * min(x, 0)
end

flux_layer(::Val{:prelu}, layer) = PReLU(zeros(Float32, layer.settings[:shared] ? 1 : last(layer.insize)))
torch_sizes(::Val{:prelu}, layer) = ["weight" => (layer.settings[:shared] ? 1 : last(layer.insize),)]
torch_weights(::Type{<:PReLU}, field) = ["weight" => field(:weight)]
take_weights!(layer::PReLU, weight) = (copyto!(layer.weight, weight("weight")); layer)

# ---- local response normalization ------------------------------------------------------------

flux_layer(::Val{:lrn}, layer) =
    LocalResponseNorm(Int(layer.settings[:size]), map(Float32, (layer.settings[key] for key in (:alpha, :beta, :k)))...)

"""
    LocalResponseNorm(size, alpha, beta, k)

x / (k + alpha/size Σ y²)^beta, the sum over the `size` channels around, as torch.nn.LocalResponseNorm.
"""
struct LocalResponseNorm
    size::Int
    alpha::Float32
    beta::Float32
    k::Float32
end

Flux.Functors.@leaf LocalResponseNorm
function (layer::LocalResponseNorm)(maps)
    (; size, alpha, beta, k) = layer
    squares = NNlib.pad_zeros(maps .^ 2, (size ÷ 2, (size - 1) ÷ 2); dims=3)
    channels = Base.size(maps, 3)
    sums = reduce((a, b) -> a .+ b, (view(squares, :, :, i:i+channels-1, :) for i in 1:size))
    return @. maps / (k + alpha / size * sums)^beta
end
