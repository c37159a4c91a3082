# From the layers of a network to the steps that run them: which kernel runs what, what is fused, and which buffers are used.

"""
The steps of a network up to flatten. Buffers are taken again when nothing needs their content anymore, the latest first,
so that the caches have them.
"""
struct Plan
    steps::Vector{Any}
    rooms::Vector{Int}          # floats of each buffer
    free::Vector{Int}
end

"New maps, in a buffer that is free."
function maps!(plan::Plan, size, border=PLAIN; floats=FLOATS)
    isempty(plan.free) && (push!(plan.rooms, 0); push!(plan.free, length(plan.rooms)))
    maps = Maps(pop!(plan.free), size, border, floats)
    plan.rooms[maps.buffer] = max(plan.rooms[maps.buffer], room(maps))
    return maps
end

step!(plan::Plan, step) = push!(plan.steps, step)

"""
The last of the steps that write `maps`: `σ`, if no kernel does it in passing, and zeros for the border of maps
that are new, or were written as a whole.
"""
function finish!(plan::Plan, maps::Maps, σ=identity; new=true)
    passes = bounds(σ) === nothing
    passes && step!(plan, Activated(maps, σ))
    (new || passes) && maps.border != PLAIN && step!(plan, Zeroed(maps))
    return maps
end

"What a kernel does in passing of `σ`; the rest is for [`finish!`](@ref)."
limits(σ) = something(bounds(σ), bounds(identity))

"Layers, with their descriptions, one after the other."
struct Layers
    described::Vector{LayerDescription}
    flux::Vector{Any}
end

Base.length(layers::Layers) = length(layers.flux)

"""
Feature maps, and whether they are not needed anymore when what comes next has read them.
"""
struct Value
    maps::Maps
    owned::Bool
end

free!(plan::Plan, value::Value) = value.owned && push!(plan.free, value.maps.buffer)

"The value in maps with the border `want`."
function bordered!(plan::Plan, value::Value, want::Border)
    serves(value.maps.border, want) && return value
    maps = maps!(plan, size(value.maps), want)
    step!(plan, Copied(value.maps, maps))
    finish!(plan, maps)
    free!(plan, value)
    return Value(maps, true)
end

"The value in maps that may be written."
function writable!(plan::Plan, value::Value, border)
    value.owned && return value
    maps = maps!(plan, size(value.maps), border)
    step!(plan, Copied(value.maps, maps))
    return Value(finish!(plan, maps), true)
end

"The border that the first of `layers` after the `i`th wants that wants one, or else `after`."
function border_for(layers::Layers, i, after)
    for layer in layers.flux[i+1:end]
        layer isa Union{BatchNorm,Elementwise,Dropout} && continue
        return wanted_by(layer)
    end
    return after
end

wanted_by(layer) = PLAIN
wanted_by(layer::Conv{2}) = wanted(layer)
wanted_by(layer::SkipConnection) = wanted_by(layer.layers)
wanted_by(layer::Chain) = isempty(layer.layers) ? PLAIN : wanted_by(first(layer.layers))
"Of branches the border that serves most: with the phases of the first that reads."
function wanted_by(layer::Parallel)
    wants = [wanted_by(branch) for branch in layer.layers if branch isa Chain]
    isempty(wants) && return PLAIN
    side(name) = maximum(getfield(want, name) for want in wants)
    return Border(side(:left), side(:right), side(:top), side(:bottom), first(wants).phases)
end

"""
Add the steps of `layers` on `value`; returns the value that they give, in maps with the border `after` where that can be.
If `add` is given, it is a summand of what they give, and the activation function `σ` follows: that is fused or a step of
its own.
"""
function chain!(plan::Plan, layers::Layers, value::Value, after::Border; add=nothing, σ=identity)
    i = 1
    while i <= length(layers)
        i, value, added = layer!(plan, layers, i, value, after, add, σ)
        added && (add = nothing)
    end
    add === nothing && return value
    return joined!(plan, +, value, add, σ, after)
end

"Join `b` to `a`, with `σ` after it."
function joined!(plan::Plan, op, a::Value, b::Value, σ, after)
    # Of a scale the branch that has one pixel comes first.
    if size(a.maps)[1:2] != size(b.maps)[1:2] && size(a.maps)[1:2] == (1, 1)
        a, b = b, a
    end
    a = writable!(plan, a, after)
    step!(plan, Joined(op, a.maps, b.maps, limits(σ)))
    finish!(plan, a.maps, σ; new=false)
    free!(plan, b)
    return a
end

"Whether kernels know how to go on from maps of this description."
ismaps(described) = length(described.insize) == length(described.outsize) == 3

"""
Add the steps of the `i`th of `layers`, and of those after it that are fused with it. Returns the number of the next, the
value, and whether `add` is among it.
"""
layer!(plan, layers, i, value, after, add, σ) =
    layer!(plan, layers.flux[i], layers, i, value, border_for(layers, i, after), after, add, σ)

layer!(plan, layer, layers, i, value, border, after, add, σ) = by_flux!(plan, layer, layers, i, value, border)

function by_flux!(plan, layer, layers, i, value, border)
    maps = maps!(plan, layers.described[i].outsize, border)
    step!(plan, ByFlux(layer, value.maps, maps))
    free!(plan, value)
    return i + 1, Value(finish!(plan, maps), true), false
end

layer!(plan, layer::Dropout, layers, i, value, border, after, add, σ) = (i + 1, value, false)

"The activation function `σ` of maps, in place."
function activate!(plan::Plan, maps::Maps, σ)
    σ === identity && return
    one_for_each = ones(Float32, size(maps, 3))
    bounds(σ) === nothing || step!(plan, Scaled(maps, one_for_each, zero(one_for_each), bounds(σ)))
    finish!(plan, maps, σ; new=false)
end

function layer!(plan, layer::Elementwise, layers, i, value, border, after, add, σ)
    value = writable!(plan, value, border)
    activate!(plan, value.maps, layer.σ)
    return i + 1, value, false
end

function layer!(plan, layer::BatchNorm, layers, i, value, border, after, add, σ)
    value = writable!(plan, value, border)
    step!(plan, Scaled(value.maps, scale_and_shift(layer)..., limits(layer.λ)))
    finish!(plan, value.maps, layer.λ; new=false)
    return i + 1, value, false
end

function layer!(
    plan,
    layer::Union{MaxPool{2},MeanPool{2},GlobalMaxPool,GlobalMeanPool},
    layers,
    i,
    value,
    border,
    after,
    add,
    σ
)
    maps = maps!(plan, layers.described[i].outsize, border)
    step!(plan, BlockPool(layer, value.maps, maps))
    free!(plan, value)
    return i + 1, Value(finish!(plan, maps), true), false
end

"A convolution with the layers after it that it takes along: batch normalization, activation, pooling, and the sum of its block."
function layer!(plan, layer::Conv{2}, layers, i, value, border, after, add, σ)
    next = i + 1
    while next <= length(layers) && (layers.flux[next] isa Dropout || layer.σ === identity)
        folded = fold(layer, layers.flux[next])
        folded === nothing && break
        layer, next = folded, next + 1
    end
    pool =
        next <= length(layers) && halves(layers.flux[next]) && bounds(layer.σ) !== nothing && !isdepthwise(layer) &&
        all(layers.described[next].insize[1:2] .>= 2) ? 2 : 1
    next += pool == 2
    last = next > length(layers)
    border = border_for(layers, next - 1, after)
    fused = add !== nothing && last && pool == 1 && layer.σ === identity && !isdepthwise(layer)
    fused && (layer = altered(layer; σ))

    value.maps.floats == FLOATS && (value = bordered!(plan, value, wanted(layer)))
    maps = maps!(plan, layers.described[next-1].outsize, border)
    if isdepthwise(layer) && value.maps.floats == FLOATS
        step!(plan, DepthwiseConv(layer, value.maps, maps; limits=limits(layer.σ)))
    else
        step!(plan, BlockConv(layer, value.maps, maps; add=fused ? add.maps : nothing, limits=limits(layer.σ), pool))
    end
    finish!(plan, maps, layer.σ)
    free!(plan, value)
    fused && free!(plan, add)
    return next, Value(maps, true), fused
end

halves(layer) = layer isa MaxPool && layer.k == layer.stride == (2, 2) && all(iszero, layer.pad)

"The convolution that does what `layer` and the layer after it do, if there is one."
fold(layer::Conv, ::Any) = nothing
fold(layer::Conv, ::Dropout) = layer
fold(layer::Conv, next::Elementwise) = altered(layer; σ=next.σ)
function fold(layer::Conv, norm::BatchNorm)
    scale, shift = scale_and_shift(norm)
    bias = layer.bias === false ? shift : @. layer.bias * scale + shift
    return altered(layer; weight=layer.weight .* reshape(scale, 1, 1, 1, :), bias, σ=norm.λ)
end

altered(layer::Conv; σ=layer.σ, weight=layer.weight, bias=layer.bias) =
    Conv(σ, weight, bias, layer.stride, layer.pad, layer.dilation, layer.groups)

function layer!(plan, layer::Union{SkipConnection,Parallel}, layers, i, value, border, after, add, σ)
    described = layers.described[i]
    join = layer.connection
    if !(join isa Join) || !all(ismaps, walk([described]))
        return by_flux!(plan, layer, layers, i, value, border)
    end
    # A SkipConnection hands on what comes in as its second branch.
    chains = [
        Layers(inner, branch isa Chain ? Any[branch.layers...] : Any[])
        for (inner, branch) in zip(described.branches, branches(layer))
    ]
    layer isa SkipConnection && push!(chains, Layers([], []))
    kept = Value(value.maps, false)

    if join.op === (+) && length(chains) == 2
        # What is summed up in passing must be there.
        second = chain!(plan, chains[2], kept, border)
        result = chain!(plan, chains[1], kept, border; add=second, join.σ)
    elseif join.op === channels_joined
        maps = maps!(plan, described.outsize, border)
        before = 0
        for chain in chains
            part = chain!(plan, chain, kept, PLAIN)
            step!(plan, Placed(part.maps, maps, before))
            before += size(part.maps, 3)
            free!(plan, part)
        end
        result = Value(finish!(plan, maps), true)
        activate!(plan, maps, join.σ)
    else
        result = chain!(plan, chains[1], kept, border)
        for (number, chain) in enumerate(chains[2:end])
            last = number == length(chains) - 1
            # The last branch may write into what came in, if that is not a branch itself.
            mine = last && value.owned && result.maps !== value.maps
            other = chain!(plan, chain, mine ? value : kept, border)
            mine && (value = kept)
            result = joined!(plan, join.op, result, other, last ? join.σ : identity, border)
        end
    end
    free!(plan, value)
    return i + 1, result, false
end
