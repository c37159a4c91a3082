"""Draw a contact sheet of the drawn world: one row per kind of scene."""

from PIL import Image, ImageDraw, ImageFont

from promptflux.files.whole import whole
from promptflux.script import run
from training.world.drawing import draw
from training.world.labels import LABELS

PAPER, INK = (250, 250, 248), (40, 44, 52)


def main(*, sheet: str, columns: int = 8, size: int = 128, first_seed: int = 4000) -> None:
    """Write `columns` drawings of each kind, of `size` × `size` pixels, with the kinds' names at the left (PNG)."""
    gap, margin = size // 16, size
    picture = Image.new(
        "RGB", (margin + columns * (size + gap) + gap, len(LABELS) * (size + gap) + gap), PAPER
    )
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size // 7)
    for row, kind in enumerate(LABELS):
        top = gap + row * (size + gap)
        pen.text((margin - gap, top + size / 2), kind, INK, font, anchor="rm")
        for column in range(columns):
            seed = first_seed + row * columns + column
            picture.paste(draw(seed, size, kind)[0], (margin + gap + column * (size + gap), top))
    with whole(sheet) as partial:
        picture.save(partial, format="PNG")


if "snakemake" in globals():
    run(main, snakemake)
