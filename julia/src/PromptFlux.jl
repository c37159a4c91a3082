"""
The Flux engine of promptflux: CNNs from a classifier spec, run by Flux.

    spec = load_spec("models/classifiers/cnn224.yaml")
    network = load_network("results/models/cnn224.bson", spec)
    logits = network(images)      # images: Float32 W×H×C×N, logits: K×N

Arrays here have the order of Flux, width × height × channels × images, which is the order
in which Julia reads the HDF5 datasets [N, C, H, W] of the other half of the project.
"""
module PromptFlux

using BSON: BSON, bson
using Flux
using Flux: NNlib
using HDF5
using LinearAlgebra: BLAS, mul!
using Logging: NullLogger, with_logger
using PrecompileTools: @compile_workload, @setup_workload
using Printf: @printf, @sprintf
using SHA: SHA256_CTX, digest!, sha256, update!
using SIMD: Vec, vifelse, vload, vstore
using YAML: YAML

export StudyError, InputSpec, Spec, Network
export load_spec, load_network, save_network, load_weights, save_weights, weights, with_weights
export read_picture, image_tensor
export layer_outputs, Predictor, predict
export infer, export_bson, bson_to_weights, predict_files

include("job.jl")
include("spec.jl")
include("network.jl")
include("weights.jl")
include("model_files.jl")
include("tensors.jl")
include("pictures.jl")
include("resize.jl")
include("kernels.jl")
include("inference.jl")
include("commands.jl")
include("gpu.jl")
include("precompile.jl")

end
