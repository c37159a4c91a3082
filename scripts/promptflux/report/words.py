"""Sentences that the report and the explorer have in common."""

from promptflux.images.inputs import InputSpec


def input_sentence(spec: InputSpec) -> str:
    """How the classifier wants its images, in words."""
    kind = {"gray": "gray", "rgb": "RGB"}[spec.channels]
    fit = {"crop": "the center cropped", "pad": "padded with black", "stretch": "stretched"}[spec.fit]
    if spec.resize is not None:
        fit = f"the center of an image whose shorter side has {spec.resize} pixels"
    if any(spec.mean) or any(std != 1 for std in spec.std):
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
        scale = f"values less {mean}, divided by {std}"
    else:
        scale = "values 0 to 1"
    return f"{kind}, {spec.width} × {spec.height} pixels, {fit}, {scale}"
