"""The operators of ONNX that are carried over, a file for each family: an operator is added by an `Operator` here."""
