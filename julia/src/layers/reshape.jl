# What changes the form or nothing at all. `Flux.flatten` of (W, H, C, N) has the order of PyTorch's flatten
# of [N, C, H, W].

flux_layer(::Val{:flatten}, layer) = Flux.flatten
flux_layer(::Val{:dropout}, layer) = testmode!(Dropout(layer.settings[:p]))
flux_layer(::Val{:softmax}, layer) = softmax
