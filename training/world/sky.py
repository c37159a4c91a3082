"""The sky of a scene and everything in it: sun, moon, stars, clouds, lightning, birds, ..."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.world.painter import GLOWS, VIBRANT, WHITE, Painter, gradient, height_at, mix, rgb


def sky(p: Painter, horizon: float) -> None:
    """The sky down to `horizon` and everything in it."""
    rows = int(p.side * min(1.0, horizon + 0.1))
    p.image.paste(rgb(p.haze), (0, 0, p.side, p.side))
    p.image.paste(gradient(p.sky_colors, p.side, rows), (0, 0))
    night = p.scene.time == "night"
    if p.scene.time in ("sunrise", "sunset"):
        p.sun = (p.sun[0], horizon - p.uniform(0.0, 0.16))
    else:
        p.sun = (p.sun[0], min(p.sun[1], horizon - 0.08))
    if p.has("milky way"):
        milky_way(p, horizon)
    if p.has("stars"):
        for _ in range(p.rng.integers(26, 44) if p.kind.starry else p.rng.integers(9, 18)):
            x, y, r = p.uniform(0, 1), p.uniform(0, horizon), p.uniform(0.005, 0.011)
            color = mix(WHITE, p.pick(((0.7, 0.8, 1), (1, 0.9, 0.7), WHITE)), 0.6)
            color = mix(color, p.pick(GLOWS), 0.6) if p.mood("magical") or p.mood("vibrant") else color
            r *= 1.3 if p.mood("glowing") else 1
            p.oval(x, y, r, r, color, color * (0.9 if p.mood("glowing") else 0.45))
    if p.has("aurora"):
        aurora(p, horizon)
    if p.has("planet"):
        x, y, r = p.uniform(0.15, 0.85), p.uniform(0.1, horizon * 0.5), p.uniform(0.07, 0.15)
        color = p.shade(p.pick(((0.85, 0.6, 0.5), (0.6, 0.65, 0.9), (0.75, 0.5, 0.8), (0.5, 0.8, 0.8))), 0.3)
        p.oval(x, y, r, r, color)
        p.oval(x - r * 0.25, y - r * 0.25, r * 0.6, r * 0.6, mix(color, WHITE, 0.15))
        tilt = p.uniform(-0.5, 0.5)
        p.line(
            [
                (x + 1.7 * r * np.cos(a), y + r * (0.35 * np.sin(a) + tilt * np.cos(a)))
                for a in np.linspace(-0.4, 3.5, 24)
            ],
            mix(color, WHITE, 0.5),
            0.014,
        )
    if p.has("sun") or p.has("moon"):
        (x, y), r = p.sun, p.uniform(0.055, 0.085) * (1.15 if p.scene.time in ("sunrise", "sunset") else 1)
        strength = {"clear": 1.0, "cloudy": 0.6, "snowfall": 0.4}.get(p.scene.weather, 0.3)
        color = mix(p.sun_color, p.haze, 1 - strength**0.5)
        p.oval(x, y, r, r, color, color * strength * (0.55 if night else 0.8))
        if night:
            for dx, dy, part in ((-0.3, -0.2, 0.22), (0.25, 0.3, 0.17), (0.2, -0.35, 0.12)):
                p.oval(x + dx * r, y + dy * r, part * r, part * r, color * 0.86, color * 0.4)
    if p.has("rainbow"):
        x, y, r = p.uniform(0.25, 0.75), horizon + 0.08, p.uniform(0.42, 0.6)
        for i, color in enumerate(
            (
                (0.9, 0.25, 0.25),
                (0.98, 0.6, 0.2),
                (0.98, 0.9, 0.3),
                (0.35, 0.8, 0.4),
                (0.3, 0.55, 0.95),
                (0.55, 0.35, 0.8),
            )
        ):
            arc = [
                (x + (r - 0.016 * i) * np.cos(a), y - (r - 0.016 * i) * np.sin(a))
                for a in np.linspace(0, np.pi, 60)
            ]
            p.line(arc, mix(color, p.sky_colors[1], 0.35), 0.018)
    if p.has("clouds"):
        for _ in range(p.rng.integers(4, 7) if p.scene.weather == "cloudy" else p.rng.integers(2, 4)):
            cloud(p, p.uniform(-0.05, 1.05), p.uniform(0.06, horizon * 0.68), p.uniform(0.12, 0.2))
    elif p.scene.weather in ("rain", "storm"):
        for x in np.linspace(0.0, 1.0, 5) + p.rng.normal(0, 0.05, 5):
            cloud(p, x, p.uniform(0.02, 0.16), p.uniform(0.18, 0.28))
    if p.scene.weather == "storm":
        x, y = p.uniform(0.2, 0.8), 0.12
        bolt = [(x, y)]
        while y < horizon:
            x, y = x + p.uniform(-0.05, 0.05), y + p.uniform(0.04, 0.08)
            bolt.append((x, y))
        p.line(bolt, (1.0, 1.0, 0.9), 0.015, (0.75, 0.8, 1.0))
        branch = len(bolt) // 2
        p.line(
            [bolt[branch], (bolt[branch][0] + p.uniform(-0.12, 0.12), bolt[branch][1] + 0.1)],
            (0.95, 0.95, 0.95),
            0.011,
            (0.5, 0.55, 0.8),
        )
    if p.has("shooting star"):
        x, y, length = p.uniform(0.3, 0.9), p.uniform(0.06, horizon * 0.45), p.uniform(0.14, 0.28)
        for i in range(10):
            part = i / 10
            p.line(
                [
                    (x - length * part, y + 0.5 * length * part),
                    (x - length * (part + 0.1), y + 0.5 * length * (part + 0.1)),
                ],
                mix(WHITE, p.sky_colors[0], part),
                0.016 * (1 - 0.6 * part),
                np.array((0.8, 0.85, 1)) * (1 - part),
            )
    if p.has("birds"):
        x, y = p.uniform(0.15, 0.75), p.uniform(0.1, horizon * 0.6)
        for _ in range(p.rng.integers(3, 6)):
            bx, by, w = x + p.uniform(-0.13, 0.2), y + p.uniform(-0.08, 0.1), p.uniform(0.034, 0.052)
            p.line(
                [
                    (bx - w, by - 0.4 * w),
                    (bx - 0.4 * w, by - 0.6 * w),
                    (bx, by),
                    (bx + 0.4 * w, by - 0.6 * w),
                    (bx + w, by - 0.4 * w),
                ],
                p.shade((0.12, 0.12, 0.16)),
                0.014,
            )
    if p.has("balloons"):
        for _ in range(p.rng.integers(1, 3)):
            x, y, r = p.uniform(0.12, 0.88), p.uniform(0.1, horizon * 0.6), p.uniform(0.065, 0.1)
            color, other = p.shade(p.pick(VIBRANT), 0.1), p.shade(p.pick(VIBRANT), 0.1)
            p.polygon(
                [
                    (x - 0.8 * r, y + 0.5 * r),
                    (x + 0.8 * r, y + 0.5 * r),
                    (x + 0.2 * r, y + 1.5 * r),
                    (x - 0.2 * r, y + 1.5 * r),
                ],
                color,
            )
            p.oval(x, y, r, r, color)
            p.oval(x, y, 0.42 * r, r, other)
            p.box(x - 0.2 * r, y + 1.6 * r, x + 0.2 * r, y + 2.0 * r, p.shade((0.4, 0.25, 0.15)))


def cloud(p: Painter, x: float, y: float, width: float) -> None:
    color = mix(
        p.sky_colors[1],
        np.clip(p.ambient * 1.05, 0, 1) if p.scene.weather != "storm" else (0.16, 0.17, 0.22),
        0.82,
    )
    if p.scene.time == "sunset":
        color = mix(color, (1.0, 0.6, 0.5), 0.45)
    if p.scene.weather in ("rain", "cloudy"):
        color = mix(color, np.full(3, 0.55 * np.mean(p.ambient)), 0.5)
    puffs = [
        (x + p.uniform(-1, 1) * width * 0.75, y - p.uniform(0, 0.25) * width, width * p.uniform(0.28, 0.45))
        for _ in range(5)
    ]
    for bx, by, r in puffs:
        p.oval(bx, by + 0.16 * r, r * 1.25, r * 0.66, color * 0.93)
    for bx, by, r in puffs:
        p.oval(bx, by, r * 1.2, r * 0.6, mix(color, WHITE, 0.12))


def milky_way(p: Painter, horizon: float) -> None:
    x0, slope, width = p.uniform(0.2, 0.8), p.uniform(-0.8, 0.8), p.uniform(0.07, 0.13)
    band = Image.new("RGB", (p.side, p.side))
    pen = ImageDraw.Draw(band)
    hues = ((0.55, 0.45, 0.85), (0.35, 0.55, 0.95), (0.9, 0.6, 0.75)) if not p.mood("vibrant") else VIBRANT
    for _ in range(220):
        y = p.uniform(-0.05, horizon + 0.05)
        x, r = x0 + slope * (y - 0.4) + p.rng.normal(0, width * 0.6), p.uniform(0.01, 0.05)
        color = np.array(p.pick(hues)) * p.uniform(0.25, 0.6)
        pen.ellipse([v * p.side for v in (x - r, y - r, x + r, y + r)], fill=rgb(color))
    band = np.asarray(band.filter(ImageFilter.GaussianBlur(p.side * 0.018)), np.float32)
    p.image.paste(
        Image.fromarray(
            (255 - (255 - np.asarray(p.image, np.float32)) * (1 - band / 255 * 0.9)).astype(np.uint8)
        )
    )
    for _ in range(24):
        y = p.uniform(0, horizon)
        x, r = x0 + slope * (y - 0.4) + p.rng.normal(0, width * 0.7), p.uniform(0.004, 0.008)
        p.oval(x, y, r, r, (0.95, 0.95, 1.0), (0.25, 0.25, 0.3))


def aurora(p: Painter, horizon: float) -> None:
    for color in ((0.2, 0.95, 0.55), (0.25, 0.85, 0.75), (0.65, 0.35, 0.9))[: p.rng.integers(2, 4)]:
        line = p.ridge(p.uniform(0.25, 0.5) * horizon + 0.1, 0.1, octaves=3)
        tall = p.uniform(0.12, 0.25)
        layer = Image.new("L", (p.side, p.side))
        pen = ImageDraw.Draw(layer)
        for x, y in p.rng.permutation(np.array([(x, height_at(line, x)) for x in np.linspace(0, 1, 110)])):
            for i in range(6):  # a curtain: bright at its foot
                pen.line(
                    [
                        (x * p.side, (y - tall * i / 6) * p.side),
                        (x * p.side, (y - tall * (i + 1) / 6) * p.side),
                    ],
                    fill=int(190 * (1 - i / 6) * p.uniform(0.6, 1)),
                    width=int(p.side * 0.014),
                )
        p.image.paste(rgb(color), (0, 0), layer.filter(ImageFilter.GaussianBlur(p.side * 0.012)))
