# What the kernels are made of: vectors of as many floats as the registers of this CPU hold.

"""
How many floats a register holds, and how many registers there are, for the CPU that the code is compiled for:
AVX-512 has 32 of 16 floats, AVX2 16 of 8, NEON 32 of 4. For a CPU that is named (`--cpu-target`, `JULIA_CPU_TARGET`),
and is not the one that it is compiled on, it is as for AVX2 on x86.
"""
function registers()
    Sys.ARCH === :x86_64 || return (4, Sys.ARCH === :aarch64 ? 32 : 16)
    native = unsafe_string(Base.JLOptions().cpu_target) == "native"
    native && CPUID.test_cpu_feature(CPUID.JL_X86_avx512f) && return (16, 32)
    return native && !CPUID.test_cpu_feature(CPUID.JL_X86_avx2) ? (4, 16) : (8, 16)
end

const FLOATS, REGISTERS = registers()
const Floats = Vec{FLOATS,Float32}

"""
    bounds(σ)

The least and the greatest value that the activation function `σ` leaves, if it does nothing but limit: kernels do that
while they have the values in registers. `nothing` for any other function.
"""
bounds(σ) = nothing
bounds(::typeof(identity)) = (-Inf32, Inf32)
bounds(::typeof(relu)) = (0.0f0, Inf32)
bounds(::typeof(relu6)) = (0.0f0, 6.0f0)

"`value` within bounds; what is not a number stays that."
@inline function within(value::Floats, (least, greatest))
    value = vifelse(value < least, Floats(least), value)
    return vifelse(value > greatest, Floats(greatest), value)
end

"The larger of each pair of numbers, without the care for NaN and -0.0 that `max` takes."
@inline larger(a::Floats, b::Floats) = vifelse(b > a, b, a)
