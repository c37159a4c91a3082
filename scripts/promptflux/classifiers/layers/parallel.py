"""Branches side by side."""

from promptflux.classifiers.kind import BRANCH, Block, shape_text
from promptflux.errors import StudyError

BRANCHES = {
    "description": "a list of 1 to 64 branches, each a list of layers, [] for what comes in as it is",
    "type": "array",
    "minItems": 1,
    "maxItems": 64,
    "items": BRANCH,
}


class Parallel(Block):
    """What several branches make of the values: their channels one branch after the other (`concat`), or the `sum`."""

    name = "parallel"
    schema = {"branches": BRANCHES, "join": {"description": "concat or sum", "enum": ["concat", "sum"]}}
    defaults = {"join": "concat"}
    parts = ("branches",)
    written = "{branches: [[{conv: {out: 8, kernel: 1}}], [{conv: {out: 8, kernel: 3, padding: 1}}]]}"
    suspect = "do its branches come in the same order, and are they joined in the same way?"

    def entries(self, given):
        return [(f"branches[{number}]", branch) for number, branch in enumerate(given["branches"])]

    def joined_shape(self, settings, shape, ends):
        concat = settings["join"] == "concat"
        alike = {end[1:] if concat else end for end in ends}
        if len(alike) > 1 or len({len(end) for end in ends}) > 1:
            shapes = ", ".join(map(shape_text, ends))
            what = (
                "what is set side by side must have one height and width"
                if concat
                else "what is added must be alike"
            )
            raise StudyError(f"its branches give {shapes}, and {what}")
        return (sum(end[0] for end in ends), *ends[0][1:]) if concat else ends[0]

    def join(self, settings, values, ends):
        import torch

        return torch.cat(list(ends), dim=1) if settings["join"] == "concat" else sum(ends[1:], start=ends[0])

    def onnx_join(self, graph, layer, values, ends):
        if layer.settings["join"] == "concat":
            return graph.add("Concat", *ends, axis=1)
        return graph.add("Sum", *ends)


PARALLEL = Parallel()
