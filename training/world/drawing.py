"""Drawings: a kind's painter first, then the weather, the light and the moods over all of it."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.world.labels import KINDS
from training.world.painter import WHITE, Painter, mix, rgb
from training.world.sampling import sample_scene
from training.world.scene import Scene


def weather(p: Painter) -> None:
    """What lies in the air before everything else: fog, rain, snowflakes, sparks of magic."""
    if p.scene.weather == "misty":
        rows = np.linspace(0, 1, p.side)
        center, tall, dense = p.uniform(0.4, 0.8), p.uniform(0.12, 0.26), p.uniform(0.3, 0.46)
        opacity = (0.05 if p.kind.snowy else 0.12) + dense * np.exp(-(((rows - center) / tall) ** 2))
        bands = p.rng.uniform(0.5, 1.35, (7, 5)).astype(np.float32)
        bands = np.asarray(Image.fromarray(bands).resize((p.side, p.side), Image.Resampling.BICUBIC))
        mask = np.clip(255 * opacity[:, None] * bands, 0, 235).astype(np.uint8)
        p.veil(Image.fromarray(mask), mix(p.haze, p.ambient, 0.25))
    if p.scene.weather in ("rain", "storm"):
        mask = Image.new("L", (p.side, p.side))
        pen, slant = ImageDraw.Draw(mask), p.uniform(-0.25, 0.25)
        for _ in range(46):
            x, y, length = (
                p.uniform(-0.1, 1.1) * p.side,
                p.uniform(-0.1, 1) * p.side,
                p.uniform(0.07, 0.12) * p.side,
            )
            pen.line(
                [(x, y), (x + slant * length, y + length)],
                fill=int(p.uniform(110, 170)),
                width=max(1, round(0.009 * p.side)),
            )
        p.image.paste(rgb(mix(p.haze, WHITE, 0.5)), (0, 0), mask)
    if p.scene.weather == "snowfall":
        for _ in range(44):
            x, y, r = p.uniform(0, 1), p.uniform(0, 1), p.uniform(0.007, 0.014)
            p.oval(x, y, r, r, mix(p.shade(WHITE), WHITE, 0.35))
    if p.mood("magical"):
        for _ in range(p.rng.integers(12, 20)):
            x, y, r = p.uniform(0, 1), p.uniform(0.2, 1), p.uniform(0.007, 0.013)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.oval(x, y, r, r, mix(hue, WHITE, 0.5), hue * 0.9)
    if p.has("fireflies"):
        for _ in range(14):
            x, y = p.uniform(0, 1), p.uniform(0.45, 0.95)
            p.oval(x, y, 0.010, 0.010, (1.0, 0.95, 0.5), (0.9, 0.9, 0.25))


def grade(p: Painter, pixels: np.ndarray) -> np.ndarray:
    """The moods that color a whole picture. `pixels`: float RGB in 0..1, [size, size, 3]."""
    gray = pixels @ np.array((0.299, 0.587, 0.114))
    if p.mood("vibrant"):
        pixels = gray[..., None] + (pixels - gray[..., None]) * 1.35
        pixels = 0.5 + (pixels - 0.5) * 1.08 + 0.03
    if p.mood("serene"):
        pixels = gray[..., None] + (pixels - gray[..., None]) * 0.8
        pixels = 0.62 + (pixels - 0.62) * 0.8 if p.scene.time != "night" else 0.25 + (pixels - 0.25) * 0.85
    if p.mood("dreamy"):
        rows = np.linspace(0, 1, p.size)[:, None, None]
        tint = np.array((0.98, 0.76, 0.90)) * (1 - rows) + np.array((0.80, 0.84, 1.0)) * rows
        strength = 0.42 if p.scene.time != "night" else 0.25
        pixels = pixels * (1 - strength) + tint * strength
    if p.mood("dark"):
        pixels = gray[..., None] + (pixels - gray[..., None]) * 0.45
        y, x = np.mgrid[-1 : 1 : p.size * 1j, -1 : 1 : p.size * 1j]
        pixels = (
            pixels
            * (np.array((0.64, 0.66, 0.72)) if p.scene.time != "night" else np.array((0.92, 0.94, 1.0)))
            * (1 - 0.3 * np.clip(x * x + y * y, 0, 1.6) / 1.6)[..., None]
        )
    if p.mood("monochrome"):
        pixels = np.repeat(0.5 + (gray[..., None] - 0.5) * 1.15, 3, axis=-1)
    if p.mood("vintage"):
        pixels = 0.12 + 0.8 * gray[..., None] * np.array((1.05, 0.90, 0.68)) + 0.06 * pixels
    return pixels.clip(0, 1)


def paint(scene: Scene, rng: np.random.Generator, size: int) -> Image.Image:
    """`scene` as an RGB image of `size` × `size` pixels; `rng` decides what the scene leaves open."""
    kind = KINDS[scene.kind]
    p = Painter(scene, kind, rng, size)
    kind.paint(p)
    weather(p)
    light = p.light.reduce(2)
    glow = 1.0 - np.asarray(light, np.float32) / 255 * 0.4
    for radius, strength in ((0.012, 0.9), (0.045, 0.9)):
        blurred = light.filter(ImageFilter.GaussianBlur(radius * size))
        glow *= 1.0 - (np.asarray(blurred, np.float32) / 255 * strength).clip(0, 1)
    pixels = 1.0 - (1.0 - np.asarray(p.image.reduce(2), np.float32) / 255) * glow
    return Image.fromarray((255 * grade(p, pixels) + 0.5).astype(np.uint8))


def draw(seed: int, size: int = 128, kind: str | None = None) -> tuple[Image.Image, Scene]:
    """Drawing number `seed`: an RGB image of `size` × `size` pixels, and what it shows.

    The same seed gives the same scene at every size, and the same pixels with the same
    versions of NumPy and Pillow.
    """
    rng = np.random.default_rng(seed)
    scene = sample_scene(rng, kind)
    return paint(scene, rng, size), scene
