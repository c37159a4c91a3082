# The kinds of layer, a file per family. A kind is a method of
#
#     flux_layer(::Val{:kind}, layer)     the layer of Flux that a LayerDescription describes
#
# and, if it has parameters,
#
#     torch_sizes(::Val{:kind}, layer)    their names and sizes, as LayerDescription has them
#
# and for the type of that layer
#
#     torch_weights(layer::Type, field)   the parameters in PyTorch's shapes
#     take_weights!(layer, weight)        and back, into the layer
#
# where `field(:name)` is what `Flux.state` makes of a field of the layer, and `weight("name")` a
# parameter as HDF5.jl reads it.

include("activations.jl")
include("blocks.jl")
include("conv.jl")
include("dense.jl")
include("normalize.jl")
include("pool.jl")
include("reshape.jl")

flux_layer(layer::LayerDescription) = flux_layer(Val(layer.kind), layer)
flux_layer(::Val{kind}, layer) where {kind} =
    throw(
        StudyError(
            "the layer $(plain_text(layer.name)) is of the kind $(plain_text(String(kind))), which this version of PromptFlux does not know; update it."
        )
    )

# A layer without parameters.
torch_sizes(kind, layer) = []
torch_weights(layer, field) = []
take_weights!(layer, weight) = layer

"The activation that follows inside of a layer; `activation_slope` of the layer is the `slope` of that."
activation(layer::LayerDescription) = activation(
    Val(Symbol(layer.settings[:activation])),
    Dict(
        Symbol(chopprefix(String(key), "activation_")) => value for
        (key, value) in layer.settings if startswith(String(key), "activation_")
    )
)

"""
The padding as most write it: one number where all sides have the same, (width, height) where both ends have, else
(left, right, top, bottom). Flux keeps a number as four and a pair as two, and `Flux.loadmodel!` takes the state of a
layer only for one that is written in the same way.
"""
function pad(layer)
    padding = layer.settings[:padding]
    length(padding) == 4 && return four_sides(padding)
    return allequal(padding) ? first(padding) : padding
end

"A padding, (width, height) or (right, bottom, left, top), as Flux and NNlib have it: (left, right, top, bottom)."
function four_sides(padding)
    right, bottom, left, top = length(padding) == 4 ? padding : (padding..., padding...)
    return (left, right, top, bottom)
end

"Of a layer of Flux, how many rows and columns it puts around: (left, right, top, bottom)."
sides(layer) = length(layer.pad) == 4 ? Tuple(layer.pad) : (layer.pad[1], layer.pad[1], layer.pad[2], layer.pad[2])
