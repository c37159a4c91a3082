# Layers that are made of others, in Flux's own words. What joins their branches is a function of Flux's layer, not a
# layer: it has no state.

"Branches one after the other along the channels: dimension 3 of maps W×H×C×N, 1 of vectors K×N."
channels_joined(values...) = cat(values...; dims=ndims(first(values)) - 1)

flux_layer(::Val{:residual}, layer) = block(Join(+, activation(layer)), layer)
flux_layer(::Val{:scale}, layer) = block(Join(*, activation(layer)), layer)
function flux_layer(::Val{:parallel}, layer)
    join = layer.settings[:join]
    join in ("concat", "sum") ||
        throw(StudyError("$(plain_text(layer.name)) is joined by $(repr(join)), which is not one of concat and sum."))
    return Parallel(
        Join(join == "sum" ? (+) : channels_joined, activation(layer)),
        map(branch_chain, layer.branches)...
    )
end

"`SkipConnection` where the second branch hands on what comes in, as it does in a residual block most times."
function block(join, layer)
    body, others... = layer.branches
    all(isempty, others) && !isempty(body) && return SkipConnection(branch_chain(body), join)
    return Parallel(join, map(branch_chain, layer.branches)...)
end

"The branches of a block of Flux, in order."
branches(layer) = ()
branches(layer::SkipConnection) = (layer.layers,)
branches(layer::Parallel) = Tuple(layer.layers)

"What a block makes of `values`; `f(number, branch)` runs a branch that is a chain."
joined(f, layer::SkipConnection, values) = layer.connection(f(1, layer.layers), values)
joined(f, layer::Parallel, values) = layer.connection(
    (
        branch isa Chain ? f(number, branch) : branch(values) for (number, branch) in enumerate(branches(layer))
    )...
)

# Without names, as one writes it: `Flux.loadmodel!` takes the state of a chain with names for one with names alone.
branch_chain(branch) = isempty(branch) ? identity : Chain(map(flux_layer, branch)...)

"""
    Join(op, σ)

What several branches give, joined by `op` into one value after the other, with the activation function `σ` of that.
"""
struct Join{O,F}
    op::O
    σ::F
end

Flux.Functors.@leaf Join
(join::Join)(values...) = NNlib.fast_act(join.σ, first(values)).(join.op.(values...))
(join::Join{typeof(channels_joined)})(values...) = NNlib.fast_act(join.σ, first(values)).(channels_joined(values...))
Base.show(io::IO, join::Join) = print(io, join.σ === identity ? join.op : "$(join.σ) of $(join.op)")
