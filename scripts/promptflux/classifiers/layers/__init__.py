"""The kinds of layer, one object each: a kind is added by a file here and a method in julia/src/layers."""
