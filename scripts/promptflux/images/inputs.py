"""How a classifier wants its images, and the way from an image to its tensor.

The way is fixed, so that another language can go it too: an upright 8-bit RGB image
(`promptflux.images`) -> gray -> fit and antialiased resize, in 8 bits -> / 255 -> (x - mean) / std.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptflux.errors import StudyError

NAMED_INPUT = re.compile(r"(gray|rgb|imagenet)([1-9]\d{0,3})")
# Mean and standard deviation of a channel over ImageNet's images, as torchvision's and timm's networks want them, and the
# part of an image's shorter side that those cut out: 224 of 256 pixels.
STATISTICS = {"imagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}}
CUT_OUT = 0.875


@dataclass(frozen=True)
class InputSpec:
    """How a classifier wants its images.

    channels: "gray" or "rgb". fit: "crop" keeps the center, "pad" puts the whole image on
    black, "stretch" ignores the aspect ratio. mean, std: one number a channel, for values
    in 0..1; left empty they are 0 and 1. resize: of "crop", how many pixels the shorter side of an image gets, of
    which the center is then cut out, as torchvision's Resize and CenterCrop do it; without it, all that has the
    input's aspect ratio is kept.
    """

    name: str
    height: int
    width: int
    channels: str
    fit: str = "crop"
    filter: str = "bilinear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.resize is not None:
            if self.fit != "crop":
                raise StudyError(f"the input {self.name!r} has a resize, which goes with fit: crop alone.")
            if self.resize < max(self.height, self.width):
                raise StudyError(
                    f"the input {self.name!r} has the resize {self.resize}, from which no {self.height} × {self.width} "
                    f"pixels can be cut out."
                )
        count = self.channel_count
        for key, default in (("mean", 0.0), ("std", 1.0)):
            values = tuple(map(float, getattr(self, key))) or (default,) * count
            if len(values) != count:
                raise StudyError(
                    f"the input {self.name!r} has {len(values)} numbers in {key}; "
                    f"{self.channels} images need {count}."
                )
            object.__setattr__(self, key, values)

    @classmethod
    def from_config(cls, entry: str | Mapping) -> "InputSpec":
        """The input of a classifier spec: a name such as `gray28`, or a mapping with a `size`."""
        if isinstance(entry, str):
            match = NAMED_INPUT.fullmatch(entry)
            if match is None:
                raise StudyError(
                    f"the input {entry!r} is unknown; a name looks like gray28, rgb224 or imagenet224."
                )
            side = int(match[2])
            if match[1] in STATISTICS:
                resize = round(side / CUT_OUT)
                known = STATISTICS[match[1]]
                return cls(entry, side, side, "rgb", mean=known["mean"], std=known["std"], resize=resize)
            return cls(name=entry, height=side, width=side, channels=match[1])
        size = entry["size"]
        height, width = size if isinstance(size, list) else (size, size)
        rest: dict[str, Any] = {
            key: STATISTICS[value][key] if key in ("mean", "std") and isinstance(value, str) else value
            for key, value in entry.items()
            if key != "size"
        }
        return cls(height=int(height), width=int(width), **rest)

    @classmethod
    def from_dict(cls, fields: Mapping) -> "InputSpec":
        """The inverse of `to_dict`."""
        return cls(**fields)

    def to_dict(self) -> dict:
        """The fields as JSON knows them."""
        fields = dataclasses.asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if self.resize is None:
            del fields["resize"]  # said where there is one alone: the digests of others are on record
        return fields

    @property
    def channel_count(self) -> int:
        return {"gray": 1, "rgb": 3}[self.channels]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape [C, H, W] of an image's tensor."""
        return self.channel_count, self.height, self.width
