"""Values multiplied by what a branch makes of them."""

from promptflux.classifiers.kind import LAYERS, Block, shape_text
from promptflux.errors import StudyError


class Scale(Block):
    """gate(x) · x, where the gate gives as many numbers as x has, or one for each channel.

    With a mean over each map in the gate this is squeeze-and-excitation: Hu et al., "Squeeze-and-Excitation
    Networks", 2018.
    """

    name = "scale"
    schema = {"gate": LAYERS}
    parts = ("gate",)
    written = "{gate: [globalmeanpool, {conv: {out: 16, kernel: 1, activation: sigmoid}}]}"
    suspect = "does its gate multiply what the block takes, channel by channel?"

    def joined_shape(self, settings, shape, ends):
        [gate] = ends
        if gate not in (shape, (*shape[:1], *(1 for _ in shape[1:]))):
            raise StudyError(
                f"its gate gives {shape_text(gate)}, which must be one number for each channel "
                f"({shape_text((shape[0], 1, 1)) if len(shape) == 3 else shape_text(shape)}) or for each value"
            )
        return shape

    def join(self, settings, values, ends):
        [gate] = ends
        return gate * values

    def onnx_join(self, graph, layer, values, ends):
        return graph.add("Mul", values, *ends)


SCALE = Scale()
