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
