# The GPU, for who has CUDA.jl and cuDNN.jl installed in their Julia: loaded with them.

module PromptFluxCUDAExt

using CUDA: CUDA
using cuDNN: cuDNN
using Flux: gpu_device
using PromptFlux: PromptFlux

function PromptFlux.find_gpu(::Nothing)
    CUDA.functional() || return nothing
    # Full float32: TF32 has 10 bits of mantissa, which parity with PyTorch does not forgive.
    CUDA.math_mode!(CUDA.PEDANTIC_MATH)
    return (device=gpu_device(), name="cuda ($(CUDA.name(CUDA.device())))")
end

end
