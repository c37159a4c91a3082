"""Pooling: the largest or the mean value of each window."""

from promptflux.classifiers.kind import PAIR, PAIR_OR_0, Kind, shape_text, want_maps, window_places
from promptflux.errors import StudyError


class Pool(Kind):
    """torch.nn.MaxPool2d or AvgPool2d; a stride that is not given is the kernel."""

    schema = {"kernel": PAIR, "stride": PAIR, "padding": PAIR_OR_0}
    defaults = {"stride": None, "padding": 0}
    shorthand = "kernel"

    def __init__(self, name: str, module: str, suspect: str):
        self.name, self._module, self.suspect = name, module, suspect

    def settings(self, given):
        return super().settings({"stride": given["kernel"], **given})

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        kernel, padding = settings["kernel"], settings["padding"]
        if any(2 * around > side for around, side in zip(padding, kernel, strict=True)):
            raise StudyError(
                f"its padding {shape_text(padding)} is more than half of its kernel {shape_text(kernel)}"
            )
        return (shape[0], *window_places(settings, shape[1:]))

    def module(self, layer):
        from torch import nn

        settings = layer.settings
        return getattr(nn, self._module)(settings["kernel"], settings["stride"], settings["padding"])


MAXPOOL = Pool("maxpool", "MaxPool2d", "are its kernel, stride and padding the same?")
MEANPOOL = Pool(
    "meanpool",
    "AvgPool2d",
    "are its kernel, stride and padding the same, and does the mean count the padding?",
)


class GlobalPool(Kind):
    """The largest or the mean value of each map: (C, H, W) becomes (C, 1, 1)."""

    def __init__(self, name: str, module: str):
        self.name, self._module = name, module

    def shape(self, settings, shape):
        want_maps(self.name, shape)
        return (shape[0], 1, 1)

    def module(self, layer):
        from torch import nn

        return getattr(nn, self._module)(1)


GLOBALMAXPOOL = GlobalPool("globalmaxpool", "AdaptiveMaxPool2d")
GLOBALMEANPOOL = GlobalPool("globalmeanpool", "AdaptiveAvgPool2d")
