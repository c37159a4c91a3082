# Pooling. A mean counts the border as zeros, in Flux as in PyTorch.

flux_layer(::Val{:maxpool}, layer) =
    MaxPool(layer.settings[:kernel]; stride=layer.settings[:stride], pad=pad(layer))
flux_layer(::Val{:meanpool}, layer) =
    MeanPool(layer.settings[:kernel]; stride=layer.settings[:stride], pad=pad(layer))

flux_layer(::Val{:globalmaxpool}, layer) = GlobalMaxPool()
flux_layer(::Val{:globalmeanpool}, layer) = GlobalMeanPool()
