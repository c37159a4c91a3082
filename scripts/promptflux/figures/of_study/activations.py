"""What the channels of each layer give over all images: how often zero, and which never anything else."""

from collections.abc import Mapping

import numpy as np

from promptflux.figures.sheet import ALARM, INK, MUTED, TICK_SIZE, Sheet, Style, colored, head
from promptflux.files.activations import Tally

TITLE = "channels over all images"
CAPTION = (
    "Every channel of every layer, sorted by how much of what it gives over all images of the study is zero. A red one is dead: it gives "
    "one value for every place of every image, so that no image of this study needs it."
)
MOST_LAYERS = 60  # drawn; of more some, spread over the depth, and those with dead channels first
LINE = 0.24  # inches, of a layer
STRIP = 4.2  # inches, of the channels of a layer


def draw(tallies: Mapping[str, Tally], images: int, classifier: str, style: Style) -> Sheet:
    """A strip for each layer; tallies: of the layers in which channels can die, over so many images."""
    shown = drawn_layers(tallies)
    left = 0.5 + 0.062 * max([len(name) for name in shown], default=1)  # inches, of names in TICK_SIZE
    top = head() + 0.3
    tall = LINE * max(len(shown), 1)
    sheet = Sheet(left + STRIP + 2.5, top + max(tall, 1.6) + 0.3, style.dpi)
    dead = sum(int(tally.dead.sum()) for tally in tallies.values())
    channels = sum(len(tally.dead) for tally in tallies.values())
    parts = [f"{channels:,} channels over {images:,} images", f"{dead:,} dead" if dead else "none is dead"]
    if len(shown) < len(tallies):
        parts.append(f"{len(shown)} of {len(tallies)} layers are drawn")
    sheet.title(f"{classifier}: what its channels give", " · ".join(parts))
    for number, name in enumerate(shown):
        tally, y = tallies[name], top + number * LINE
        settings = {"fontsize": TICK_SIZE, "va": "center_baseline"}
        sheet.text(left - 0.1, y + LINE / 2 - 0.02, name, color=INK, ha="right", **settings)
        strip = colors_of(tally, style)
        sheet.raster(strip, (left, y, STRIP, LINE - 0.06), sharp=True)
        count = int(tally.dead.sum())
        sheet.text(
            left + STRIP + 0.12,
            y + LINE / 2 - 0.02,
            f"{count} of {len(tally.dead)} dead" if count else f"{len(tally.dead)}",
            color=ALARM if count else MUTED,
            **settings,
        )
    sheet.labels([(left, top - 0.08)], ["channels, those with the fewest zeros first"], size=TICK_SIZE)
    bar = (left + STRIP + 1.3, top, 0.12, min(max(tall - 0.06, 1.6), 3.0))
    sheet.color_bar(bar, style.cmap, (0.0, 1.0), "share of zeros")
    return sheet


def drawn_layers(tallies: Mapping[str, Tally]) -> list[str]:
    """The layers that are drawn, in the network's order: all, or those with dead channels, and others spread over the depth."""
    names = list(tallies)
    if len(names) <= MOST_LAYERS:
        return names
    dead = [name for name in names if tallies[name].dead.any()][:MOST_LAYERS]
    others = [name for name in names if name not in dead]
    room = MOST_LAYERS - len(dead)
    spread = {others[round(place * (len(others) - 1) / max(1, room - 1))] for place in range(room)}
    return [name for name in names if name in spread or name in dead]


def colors_of(tally: Tally, style: Style) -> np.ndarray:
    """The strip of a layer, uint8 [1, C, 3]: a color for the share of zeros of each channel, the dead ones last and red."""
    order = np.lexsort((tally.share_of_zeros, tally.dead))
    colors = colored(tally.share_of_zeros[order], (0.0, 1.0), style.cmap)[:, :3].copy()
    colors[tally.dead[order]] = [*bytes.fromhex(ALARM[1:])]
    return colors[None]
