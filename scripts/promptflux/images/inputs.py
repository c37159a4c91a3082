"""How a classifier wants its images, and the way from an image to its tensor.

The way is fixed, so that another language can go it too: an upright 8-bit RGB image
(`promptflux.images`) -> gray -> fit and antialiased resize, in 8 bits -> / 255 -> (x - mean) / std.
"""

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptflux.errors import StudyError

NAMED_INPUT = re.compile(r"(gray|rgb)([1-9]\d{0,3})")


@dataclass(frozen=True)
class InputSpec:
    """How a classifier wants its images.

    channels: "gray" or "rgb". fit: "crop" keeps the center, "pad" puts the whole image on
    black, "stretch" ignores the aspect ratio. mean, std: one number a channel, for values
    in 0..1; left empty they are 0 and 1.
    """

    name: str
    height: int
    width: int
    channels: str
    fit: str = "crop"
    filter: str = "bilinear"
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
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
                raise StudyError(f"the input {entry!r} is unknown; a name looks like gray28 or rgb224.")
            side = int(match[2])
            return cls(name=entry, height=side, width=side, channels=match[1])
        size = entry["size"]
        height, width = size if isinstance(size, list) else (size, size)
        rest = {key: value for key, value in entry.items() if key != "size"}
        return cls(height=int(height), width=int(width), **rest)

    @classmethod
    def from_dict(cls, fields: Mapping) -> "InputSpec":
        """The inverse of `to_dict`."""
        return cls(**fields)

    def to_dict(self) -> dict:
        """The fields as JSON knows them."""
        fields = dataclasses.asdict(self)
        return fields | {"mean": list(self.mean), "std": list(self.std)}

    @property
    def channel_count(self) -> int:
        return {"gray": 1, "rgb": 3}[self.channels]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape [C, H, W] of an image's tensor."""
        return self.channel_count, self.height, self.width
