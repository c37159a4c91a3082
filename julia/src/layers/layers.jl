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

"The activation that follows inside of a layer."
activation(layer::LayerDescription) = activation(Symbol(layer.settings[:activation]))

"""
The padding as most write it: one number where both sides have the same. Flux keeps a number as four and a pair as
two, and `Flux.loadmodel!` takes the state of a layer only for one that is written in the same way.
"""
pad(layer) = allequal(layer.settings[:padding]) ? first(layer.settings[:padding]) : layer.settings[:padding]

"Of a Flux layer, how many rows and how many columns are put on each side."
border(layer) = (first(layer.pad), last(layer.pad))
