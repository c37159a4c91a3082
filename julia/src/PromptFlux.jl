"""
The Flux engine of promptflux: CNNs that Python has described, run by Flux.

    network = load_network("results/models/cnn224.bson")
    logits = network(images)      # images: Float32 W×H×C×N, logits: K×N

Arrays here have the order of Flux, width × height × channels × images, which is the order
in which Julia reads the HDF5 datasets [N, C, H, W] of the other half of the project.
"""
module PromptFlux

using BSON: BSON, bson
using Base.BinaryPlatforms: CPUID
using Base.Cartesian: @nexprs
using Flux
using Flux: NNlib
using Flux.Zygote: ignore_derivatives
using HDF5
using LinearAlgebra: BLAS, mul!
using Logging: NullLogger, with_logger
using PrecompileTools: @compile_workload
using Printf: @printf, @sprintf
using SHA: SHA256_CTX, digest!, sha256, update!
using SIMD: Vec, vifelse, vload, vstore

export StudyError, InputSpec, Description, Network
export load_description, load_network, save_network, load_model, save_model, weights, with_weights
export read_picture, image_tensor
export layer_outputs, Predictor, predict
export open_study
export infer, explain, export_bson, predict_files

# How a script meets the person who runs it.
include("job.jl")

# A network: what it is, its layers, and how it is run by Flux.
include("description.jl")
include("layers/layers.jl")
include("network.jl")

# Files: models, tensors and predictions.
include("files/hdf5.jl")
include("files/weights.jl")
include("files/bson.jl")
include("files/predictions.jl")
include("files/activations.jl")
include("study.jl")

# From a PNG or JPEG file to a tensor.
include("pictures/pictures.jl")
include("pictures/resize.jl")

# The fast path on the CPU.
include("fast/vectors.jl")
include("fast/maps.jl")
include("fast/conv.jl")
include("fast/pointwise.jl")
include("fast/plan.jl")
include("fast/dense.jl")
include("fast/predictor.jl")

# What the scripts beside src/ do.
include("gpu.jl")
include("commands.jl")
include("explain.jl")
include("precompile.jl")

end
