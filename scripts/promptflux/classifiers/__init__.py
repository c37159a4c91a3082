"""The CNNs: the spec, its layers, the network in PyTorch, its weights, and the comparison of engines."""
