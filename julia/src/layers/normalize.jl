# Batch normalization, with the mean and variance that training left.

flux_layer(::Val{:batchnorm}, layer) =
    testmode!(BatchNorm(last(layer.insize), activation(layer); eps=Float32(layer.settings[:eps])))

# The field of Flux and the parameter of PyTorch.
const BATCHNORM = (:γ => "weight", :β => "bias", :μ => "running_mean", :σ² => "running_var")

torch_weights(::Type{<:BatchNorm}, field) = [parameter => field(name) for (name, parameter) in BATCHNORM]

function take_weights!(layer::BatchNorm, weight)
    for (name, parameter) in BATCHNORM
        copyto!(getfield(layer, name), weight(parameter))
    end
    return layer
end
