"""What stands in for an image that cannot be read."""

from PIL import Image, ImageDraw, ImageFont, ImageOps


def test_pattern(height: int, width: int) -> Image.Image:
    """What stands in for an image that cannot be read: color bars, crossed out, with "TEST" on them.

    An RGB image of the given size in pixels, at any size.
    """
    colors = ("white", "yellow", "cyan", "lime", "magenta", "red", "blue")
    picture = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(picture)
    for index, color in enumerate(colors):
        left, right = width * index // len(colors), width * (index + 1) // len(colors)
        if right > left:
            draw.rectangle((left, 0, right - 1, height - 1), fill=color)
    line = max(1, min(height, width) // 32)
    draw.line((0, 0, width - 1, height - 1), fill="black", width=line)
    draw.line((0, height - 1, width - 1, 0), fill="black", width=line)
    draw.rectangle((0, 0, width - 1, height - 1), outline="black", width=line)
    label = _label("TEST PATTERN" if width >= 84 else "TEST", width * 7 // 8)
    if label.width <= width and label.height <= height:
        picture.paste(label, ((width - label.width) // 2, (height - label.height) // 2))
    return picture


def _label(text: str, width: int) -> Image.Image:
    """White text on black in Pillow's bitmap font, enlarged by a whole factor to at most `width`."""
    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = font.getbbox(text)
    label = Image.new("L", (right - left + 2, bottom - top))
    ImageDraw.Draw(label).text((1 - left, -top), text, fill=255, font=font)
    return ImageOps.scale(label, max(1, width // label.width), Image.Resampling.NEAREST).convert("RGB")
