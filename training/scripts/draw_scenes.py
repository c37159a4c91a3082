"""Draw a contact sheet of the drawn world: a row for each kind of scene."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from promptflux.files.whole import whole
from training.world.scenes import LABELS, draw

PAPER, INK = (250, 250, 248), (40, 44, 52)


def main(output: Path, columns: int = 8, size: int = 128, first_seed: int = 4000) -> None:
    """Write `columns` drawings of each kind, of `size` × `size` pixels, with the kinds' names at the left (PNG)."""
    gap, margin = size // 16, size
    sheet = Image.new("RGB", (margin + columns * (size + gap) + gap, len(LABELS) * (size + gap) + gap), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size // 7)
    for row, kind in enumerate(LABELS):
        top = gap + row * (size + gap)
        pen.text((margin - gap, top + size / 2), kind, INK, font, anchor="rm")
        for column in range(columns):
            seed = first_seed + row * columns + column
            sheet.paste(draw(seed, size, kind)[0], (margin + gap + column * (size + gap), top))
    with whole(output) as partial:
        sheet.save(partial)


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(output=Path(snakemake.output[0]))
