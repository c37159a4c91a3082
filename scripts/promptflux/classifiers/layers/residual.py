"""The residual block: what its layers make of the values, added to the values."""

from promptflux.classifiers.kind import BRANCH, LAYERS, Block, shape_text
from promptflux.errors import StudyError


class Residual(Block):
    """body(x) + shortcut(x), and the activation of that; without a shortcut, body(x) + x.

    He et al., "Deep Residual Learning for Image Recognition", 2016.
    """

    name = "residual"
    schema = {"body": LAYERS, "shortcut": BRANCH}
    defaults = {"shortcut": ()}
    parts = ("body", "shortcut")
    written = "{body: [{conv: {out: 16, kernel: 3, padding: 1}}], activation: relu}"
    suspect = "do its body and its shortcut meet in one sum, before the activation?"

    def joined_shape(self, settings, shape, ends):
        body, shortcut = ends
        if body != shortcut:
            raise StudyError(
                f"its body gives {shape_text(body)} and its shortcut {shape_text(shortcut)}, and what is added must be alike"
            )
        return body

    def join(self, settings, values, ends):
        body, shortcut = ends
        return body + shortcut

    def onnx_join(self, graph, layer, values, ends):
        return graph.add("Add", *ends)


RESIDUAL = Residual()
