"""How a scene is painted: sky, far things, near things, weather and light, in this order."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.world.painted_sky import sky
from training.world.painted_things import (
    building,
    cactus,
    conifer,
    dome_city,
    flowers,
    ground_color,
    house,
    leaf_color,
    mirror,
    palm,
    peaks,
    round_tree,
    sailboat,
    snow_shade,
    stroke_water,
    tower,
    tree,
    way,
)
from training.world.painter import NEONS, VIBRANT, WHITE, Painter, down, height_at, mix, rgb
from training.world.scenes import Scene


def forest(p: Painter) -> None:
    horizon = p.uniform(0.5, 0.62)
    sky(p, horizon)
    far_hills = p.ridge(horizon - 0.08, 0.06, 3)
    p.area(down(far_hills), p.shade(leaf_color(p) * 0.8, 0.8), p.shade(ground_color(p), 0.5))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    pines = p.rng.choice((0.0, 0.15, 0.85, 1.0))
    if p.scene.tree_color or p.scene.season in ("autumn", "spring") or p.mood("vibrant"):
        pines = p.rng.choice((0.0, 0.2))
    for far, count, foot, size in ((0.7, 9, 0.03, 0.3), (0.4, 6, 0.1, 0.42)):
        for x in p.rng.permutation(np.linspace(0, 1, count)) + p.rng.normal(0, 0.03, count):
            tree(
                p,
                x,
                horizon + foot + p.uniform(-0.02, 0.02),
                size * p.uniform(0.8, 1.25),
                far,
                p.rng.random() < pines,
            )
    ground = ground_color(p)
    line = p.ridge(horizon + 0.1, 0.02, 3)
    p.area(down(line), p.shade(ground, 0.25), p.shade(ground * 0.8))
    if p.has("river"):
        way(
            p,
            (p.uniform(0.35, 0.65), horizon + 0.1),
            mix(p.sky_colors[1], p.shade((0.2, 0.5, 0.7)), 0.5),
            p.shade(ground * 0.6),
        )
    if p.has("path"):
        way(
            p,
            (p.uniform(0.35, 0.65), horizon + 0.1),
            p.shade((0.78, 0.66, 0.46)),
            p.shade(ground * 0.8),
            0.14,
        )
    if p.has("house"):
        house(p, p.uniform(0.3, 0.7), horizon + p.uniform(0.18, 0.26), p.uniform(0.22, 0.3))
    sides = p.rng.random() < 0.6  # tall trees left and right, as a frame
    for i in range(p.rng.integers(3, 6)):
        x = p.uniform(-0.05, 0.28) if i % 2 else p.uniform(0.72, 1.05)
        x = x if sides else p.uniform(-0.05, 1.05)
        if p.has("house") and 0.3 < x < 0.7:
            continue
        y = horizon + 0.16 + 0.05 * i + p.uniform(0, 0.05)
        tree(p, x, y, p.uniform(0.48, 0.64) * (0.8 + 0.07 * i), 0.08, p.rng.random() < pines)
    if p.has("flowers"):
        flowers(p, horizon + 0.22, 22)
    if p.has("mushrooms"):
        for _ in range(p.rng.integers(3, 6)):
            x, y, r = p.uniform(0.05, 0.95), p.uniform(0.84, 0.98), p.uniform(0.045, 0.07)
            p.box(x - 0.25 * r, y - r, x + 0.25 * r, y, p.shade((0.92, 0.88, 0.8)))
            cap = (0.85, 0.15, 0.12) if not p.mood("magical") else p.glow_hues[0]
            p.polygon(
                [(x + r * np.cos(a), y - r + 0.8 * r * np.sin(a)) for a in np.linspace(-np.pi, 0, 12)],
                p.shade(cap),
                np.array(cap) * 0.5 if p.mood("magical") else None,
            )
            for dx in (-0.5, 0.0, 0.5):
                p.oval(x + dx * r, y - r * (1.3 + 0.2 * (dx == 0)), 0.13 * r, 0.1 * r, p.shade(WHITE))


def city(p: Painter) -> None:
    horizon = p.uniform(0.6, 0.72)
    sky(p, horizon)
    future = p.mood("futuristic")
    for far, count, low, high, wide in (
        (0.75, 9, 0.14, 0.32, 0.13),
        (0.4, 7, 0.2, 0.46, 0.15),
        (0.05, 5, 0.2, 0.55, 0.18),
    ):
        for x in p.rng.permutation(np.linspace(0.0, 1.0, count)) + p.rng.normal(0, 0.03, count):
            height = p.uniform(low, high) * (1.1 if future else 0.95)
            (tower if future and p.rng.random() < 0.85 else building)(
                p, x, horizon + 0.06, wide * p.uniform(0.7, 1.15), height, far
            )
    if p.has("water"):
        mirror(p, horizon + 0.05, (0.10, 0.25, 0.40))
    else:
        ground = {"winter": (0.88, 0.91, 0.95)}.get(p.scene.season, (0.36, 0.37, 0.42))
        p.area(
            down([(-0.02, horizon + 0.05), (1.02, horizon + 0.05)]),
            p.shade(ground, 0.2),
            p.shade(np.array(ground) * 0.8),
        )
    if p.has("bridge"):
        y, color = horizon + 0.12, p.shade((0.70, 0.28, 0.22))
        for x in (0.22, 0.78):
            p.box(x - 0.015, y - 0.22, x + 0.015, y + 0.06, color)
        cable = [(x, y - 0.2 + 0.17 * (1 - ((x - 0.5) / 0.28) ** 2)) for x in np.linspace(0.22, 0.78, 15)]
        p.line([(-0.02, y - 0.02), (0.22, y - 0.2), *cable, (0.78, y - 0.2), (1.02, y - 0.02)], color, 0.013)
        for x, top in cable[2:-1:3]:
            p.line([(x, top), (x, y)], color, 0.008)
        p.box(-0.02, y, 1.02, y + 0.022, color * 0.9)
    if p.has("road") and not p.has("water"):
        way(
            p,
            (p.uniform(0.4, 0.6), horizon + 0.05),
            p.shade((0.22, 0.22, 0.25)),
            p.shade((0.6, 0.6, 0.6)),
            0.3,
        )
        if p.lit_windows or future:
            for _ in range(6):
                y = p.uniform(horizon + 0.1, 0.98)
                x = 0.5 + p.rng.normal(0, 0.25) * (y - horizon)
                color = np.array(p.pick(((1.0, 0.3, 0.2), (1.0, 0.9, 0.6)) if not future else NEONS))
                p.box(x, y, x + 0.035, y + 0.016, color, color * 0.7)
    if p.has("park"):
        for _ in range(p.rng.integers(3, 6)):
            round_tree(p, p.uniform(0.0, 1.0), p.uniform(horizon + 0.14, 0.98), p.uniform(0.2, 0.28), 0.05)
    if p.has("flying cars"):
        for _ in range(p.rng.integers(3, 6)):
            x, y, w = p.uniform(0.05, 0.95), p.uniform(0.12, horizon - 0.1), p.uniform(0.028, 0.042)
            neon = np.array(p.pick(NEONS))
            p.oval(x, y, w, 0.35 * w, p.shade((0.75, 0.78, 0.85)))
            p.line([(x - 2.6 * w, y + 0.1 * w), (x - w, y)], neon, 0.012, neon * 0.8)


def mountains(p: Painter) -> None:
    horizon = p.uniform(0.62, 0.72)
    sky(p, horizon - 0.1)
    winter = p.scene.season == "winter"
    rock = p.vary(
        p.pick(VIBRANT)
        if p.mood("vibrant")
        else p.pick(((0.45, 0.46, 0.54), (0.50, 0.44, 0.42), (0.38, 0.45, 0.55))),
        0.05,
    )
    cap = 0.6 if winter else p.pick((0.2, 0.3, 0.42))
    peaks(p, horizon, p.uniform(0.32, 0.42), 0.75, cap, rock)
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.02)
    peaks(p, horizon + 0.06, p.uniform(0.36, 0.5), 0.3, cap, rock)
    if p.has("waterfall"):
        x, top = p.uniform(0.35, 0.65), horizon - 0.2
        p.polygon(
            [(x - 0.025, top), (x + 0.025, top), (x + 0.055, horizon + 0.1), (x - 0.055, horizon + 0.1)],
            p.shade((0.85, 0.94, 1.0)),
        )
        for dx in (-0.016, 0.01):
            p.line([(x + dx, top + 0.02), (x + 2 * dx, horizon + 0.1)], p.shade((0.6, 0.8, 0.95)), 0.008)
    if p.has("castle"):
        x, y, color = p.uniform(0.25, 0.75), horizon + 0.09, p.shade((0.80, 0.76, 0.70), 0.05)
        for dx, w, h in ((-0.15, 0.07, 0.25), (0.0, 0.1, 0.36), (0.15, 0.07, 0.28)):
            p.box(x + dx - w / 2, y - h, x + dx + w / 2, y, color)
            p.polygon(
                [(x + dx - 0.7 * w, y - h), (x + dx + 0.7 * w, y - h), (x + dx, y - h - 1.6 * w)],
                p.shade((0.42, 0.24, 0.55)),
            )
            p.box(
                x + dx - 0.012,
                y - h + 0.04,
                x + dx + 0.012,
                y - h + 0.09,
                (1, 0.85, 0.4) if p.lit_windows else color * 0.5,
                (0.9, 0.6, 0.2) if p.lit_windows else None,
            )
        p.box(x - 0.16, y - 0.15, x + 0.16, y, color * 0.92)
        p.box(x - 0.03, y - 0.08, x + 0.03, y, color * 0.45)
    ground = ground_color(p)
    line = p.ridge(horizon + 0.09, 0.035, 3)
    p.area(down(line), p.shade(ground * 0.9, 0.3), p.shade(ground * 0.75))
    if p.has("river"):
        way(
            p,
            (p.uniform(0.35, 0.65), horizon + 0.1),
            mix(p.sky_colors[1], p.shade((0.2, 0.5, 0.7)), 0.5),
            p.shade(ground * 0.6),
            0.13,
        )
    if p.has("pines"):
        for y in np.sort(p.rng.uniform(0.06, 0.3, p.rng.integers(5, 9))):
            conifer(p, p.uniform(0, 1), horizon + 0.03 + y, 0.16 + 0.6 * y * p.uniform(0.8, 1.2), 0.3 - y)
    if p.has("house"):
        house(p, p.uniform(0.2, 0.8), p.uniform(0.88, 0.95), p.uniform(0.2, 0.27))


def ocean(p: Painter) -> None:
    horizon = p.uniform(0.42 if p.has("lighthouse") else 0.32, 0.66)
    sky(p, horizon)
    deep = (
        p.pick(((0.05, 0.30, 0.52), (0.04, 0.40, 0.55), (0.08, 0.24, 0.48)))
        if not p.mood("vibrant")
        else (0.0, 0.55, 0.75)
    )
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.03)
    if p.has("island"):
        x, w = p.uniform(0.15, 0.85), p.uniform(0.1, 0.18)
        p.polygon(
            [(x + w * np.cos(a), horizon + 0.01 + 0.45 * w * np.sin(a)) for a in np.linspace(-np.pi, 0, 20)],
            p.shade((0.25, 0.42, 0.25), 0.4),
        )
    p.area(
        down([(-0.02, horizon), (1.02, horizon)]),
        mix(p.shade(deep, 0.35), p.sky_colors[2], 0.35),
        p.shade(deep),
    )
    stroke_water(p, horizon + 0.01, 1.0)
    rough = p.scene.weather in ("storm", "rain") or p.rng.random() < 0.4
    if rough and not p.mood("serene"):
        for y in np.linspace(horizon + 0.12, 0.95, 4):  # waves with foam
            t = (y - horizon) / (1 - horizon)
            crest = [
                (x, y - 0.03 * t * abs(np.sin(7 * x / (0.4 + t) + 5 * y * 9)))
                for x in np.linspace(-0.02, 1.02, 60)
            ]
            glow = np.array(p.glow_hues[0]) * 0.5 if p.mood("glowing") else None
            p.area(
                down(crest, y + 0.08 * t),
                p.shade(np.array(deep) * 1.15, 0.3 * (1 - t)),
                p.shade(deep, 0.2 * (1 - t)),
            )
            p.line(
                crest,
                p.shade((0.88, 0.95, 1.0), 0.2) if glow is None else p.glow_hues[0],
                0.006 + 0.008 * t,
                glow,
            )
    if p.has("ship"):
        x, y, w = p.uniform(0.25, 0.75), horizon + 0.06, p.uniform(0.15, 0.2)
        p.polygon(
            [(x - w, y - 0.05), (x + w * 1.1, y - 0.05), (x + 0.85 * w, y + 0.035), (x - 0.9 * w, y + 0.035)],
            p.shade((0.55, 0.15, 0.14), 0.1),
        )
        p.box(x - 0.7 * w, y - 0.13, x - 0.1 * w, y - 0.05, p.shade((0.9, 0.9, 0.9), 0.1))
        p.box(x - 0.52 * w, y - 0.19, x - 0.34 * w, y - 0.12, p.shade((0.2, 0.2, 0.25), 0.1))
    if p.has("sailboat"):
        for _ in range(p.rng.integers(1, 3)):
            y = p.uniform(horizon + 0.08, 0.78)
            sailboat(p, p.uniform(0.15, 0.85), y, 0.2 + 0.3 * (y - horizon))
    if p.has("lighthouse"):
        x, y = p.pick((0.16, 0.22, 0.78, 0.84)), horizon + 0.16
        p.polygon(
            [
                (x - 0.24, y + 0.05),
                (x - 0.13, y - 0.05),
                (x, y - 0.08),
                (x + 0.13, y - 0.05),
                (x + 0.24, y + 0.05),
            ],
            p.shade((0.36, 0.34, 0.34)),
        )
        for i in range(4):
            w0, w1 = 0.056 - 0.007 * i, 0.049 - 0.007 * i
            y0, y1 = y - 0.05 - 0.095 * i, y - 0.145 - 0.095 * i
            p.polygon(
                [(x - w0, y0), (x + w0, y0), (x + w1, y1), (x - w1, y1)],
                p.shade((0.95, 0.95, 0.93) if i % 2 else (0.85, 0.18, 0.15)),
            )
        lamp = (1.0, 0.92, 0.55)
        p.box(x - 0.026, y - 0.485, x + 0.026, y - 0.43, lamp, lamp if p.lit_windows else None)
        p.polygon([(x - 0.038, y - 0.485), (x + 0.038, y - 0.485), (x, y - 0.54)], p.shade((0.7, 0.12, 0.1)))
    if p.has("beach") or p.has("palms"):
        shore = p.ridge(p.uniform(0.76, 0.88), 0.03, 2)
        p.area(
            down([(x, y - 0.015) for x, y in shore]), p.shade((0.93, 0.97, 0.98)), p.shade((0.93, 0.97, 0.98))
        )
        p.area(down(shore), p.shade((0.93, 0.83, 0.60)), p.shade((0.82, 0.68, 0.45)))
    if p.has("palms"):
        for _ in range(p.rng.integers(1, 4)):
            palm(
                p,
                p.pick((p.uniform(0.05, 0.25), p.uniform(0.75, 0.95))),
                p.uniform(0.86, 0.94),
                p.uniform(0.34, 0.48),
            )


def desert(p: Painter) -> None:
    horizon, swell, apart = p.uniform(0.38, 0.66), p.uniform(0.4, 2.2), p.uniform(0.09, 0.15)
    sky(p, horizon)
    sand = p.vary(
        p.pick(
            (
                (0.90, 0.70, 0.40),
                (0.92, 0.62, 0.34),
                (0.86, 0.74, 0.50),
                (0.78, 0.46, 0.28),
                (0.96, 0.87, 0.70),
            )
        )
        if not p.mood("vibrant")
        else (0.98, 0.55, 0.20),
        0.03,
    )
    if p.mood("futuristic"):
        dome_city(p, horizon)
    if p.has("rocks"):  # table mountains
        for _ in range(p.rng.integers(2, 4)):
            x, w, h = p.uniform(0.05, 0.95), p.uniform(0.06, 0.13), p.uniform(0.1, 0.22)
            color = p.shade((0.70, 0.36, 0.22), 0.4)
            p.polygon(
                [
                    (x - 1.5 * w, horizon + 0.05),
                    (x - w, horizon - h),
                    (x + w, horizon - h * 0.97),
                    (x + 1.4 * w, horizon + 0.05),
                ],
                color,
            )
            p.polygon(
                [
                    (x + 0.3 * w, horizon - h),
                    (x + w, horizon - h * 0.97),
                    (x + 1.4 * w, horizon + 0.05),
                    (x + 0.5 * w, horizon + 0.05),
                ],
                color * 0.82,
            )
    if p.has("pyramids"):
        for i in range(p.rng.integers(1, 4)):
            x, h = p.uniform(0.15, 0.85), p.uniform(0.2, 0.34)
            color = p.shade(sand * (1.0, 0.94, 0.8), 0.2 - 0.08 * i)
            p.polygon([(x, horizon - h), (x - 1.1 * h, horizon + 0.04), (x + 0.3 * h, horizon + 0.05)], color)
            p.polygon(
                [(x, horizon - h), (x + 0.3 * h, horizon + 0.05), (x + 1.1 * h, horizon + 0.04)], color * 0.75
            )
    for i, far in enumerate(
        (0.6, 0.35, 0.15, 0.0)
    ):  # dunes: a lit side and a shaded side under a curved crest
        line = p.ridge(horizon + 0.02 + apart * i, swell * (0.035 + 0.012 * i), 2)
        p.area(down(line), p.shade(sand * 1.05, far), p.shade(sand * 0.86, far * 0.7))
        top = min(range(8, 90), key=lambda j: line[j][1])
        end = min(96, top + p.rng.integers(22, 40))
        crest, width = line[top:end], p.uniform(0.05, 0.11)
        foot = [
            (x - 0.25 * width * t, y + width * np.sin(np.pi * t) ** 0.7 * (1 - t) * 1.6)
            for t, (x, y) in zip(np.linspace(0, 1, len(crest)), crest, strict=True)
        ]
        p.polygon([*crest, *reversed(foot)], p.shade(sand * 0.74, far))
    if p.has("cacti"):
        for _ in range(p.rng.integers(2, 5)):
            y = p.uniform(horizon + 0.14, 0.95)
            cactus(p, p.uniform(0.06, 0.94), y, 0.12 + 0.35 * (y - horizon))
    if p.has("palms"):
        x = p.uniform(0.2, 0.8)
        p.oval(x, 0.84, 0.17, 0.035, mix(p.sky_colors[0], p.shade((0.2, 0.55, 0.6)), 0.5))
        for dx in (-0.12, -0.04, 0.1):
            palm(p, x + dx, 0.83 + p.uniform(-0.02, 0.02), p.uniform(0.24, 0.36))
    if p.mood("glowing"):
        for _ in range(9):
            x, y, h = p.uniform(0.05, 0.95), p.uniform(horizon + 0.15, 0.97), p.uniform(0.05, 0.11)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.polygon(
                [
                    (x - 0.25 * h, y),
                    (x - 0.2 * h, y - 0.6 * h),
                    (x, y - h),
                    (x + 0.2 * h, y - 0.6 * h),
                    (x + 0.25 * h, y),
                ],
                hue,
                hue * 0.7,
            )


def meadow(p: Painter) -> None:
    horizon, swell, apart = p.uniform(0.38, 0.64), p.uniform(0.4, 2.2), p.uniform(0.08, 0.14)
    sky(p, horizon)
    ground = ground_color(p) if not p.mood("vibrant") else p.vary((0.45, 0.85, 0.20), 0.04)
    p.area(
        down(p.ridge(horizon - p.uniform(0.01, 0.1), p.uniform(0.02, 0.07), 3)),
        p.shade(mix(ground, (0.2, 0.4, 0.5), 0.3), 0.85),
        p.shade(ground, 0.7),
    )
    if p.mood("futuristic"):
        dome_city(p, horizon)
    hills = []
    for i, far in enumerate((0.6, 0.35, 0.1)):
        line = p.ridge(horizon + 0.03 + apart * i, swell * 0.045, 2)
        hills.append(line)
        p.area(
            down(line),
            p.shade(ground * (1.06 - 0.06 * i), far),
            p.shade(ground * (0.86 - 0.05 * i), far * 0.6),
        )
        for _ in range(5 * (i + 1)):  # tufts of grass
            x = p.uniform(0, 1)
            y = p.uniform(min(height_at(line, x) + 0.02, 1.0), 1.0)
            p.line(
                [(x, y), (x + p.uniform(-0.01, 0.01), y - 0.02 - 0.012 * i)],
                p.shade(ground * p.uniform(0.72, 1.12), far),
                0.010,
            )
    if p.has("windmill"):
        x = p.uniform(0.2, 0.8)
        y, w = height_at(hills[1], x) + 0.06, 0.07
        p.polygon(
            [(x - w, y), (x + w, y), (x + 0.6 * w, y - 0.3), (x - 0.6 * w, y - 0.3)],
            p.shade((0.92, 0.88, 0.8), 0.1),
        )
        p.polygon(
            [(x - 0.75 * w, y - 0.3), (x + 0.75 * w, y - 0.3), (x, y - 0.38)], p.shade((0.6, 0.2, 0.16))
        )
        turn = p.uniform(0, 1.5)
        for i in range(4):
            a = turn + i * np.pi / 2
            p.line(
                [(x, y - 0.3), (x + 0.21 * np.cos(a), y - 0.3 + 0.21 * np.sin(a))],
                p.shade((0.36, 0.26, 0.2)),
                0.028,
            )
    if p.has("house"):
        x = p.uniform(0.2, 0.8)
        house(p, x, height_at(hills[1], x) + 0.06, p.uniform(0.2, 0.27), 0.05)
    if p.has("path"):
        way(
            p, (p.uniform(0.3, 0.7), horizon + 0.16), p.shade((0.80, 0.69, 0.48)), p.shade(ground * 0.8), 0.12
        )
    if p.has("fence"):
        line = p.ridge(0.8, 0.02, 2)
        for shift in (-0.05, -0.02):
            p.line([(x, y + shift) for x, y in line], p.shade((0.55, 0.4, 0.28)), 0.009)
        for x in np.linspace(0.03, 0.97, 9):
            p.box(
                x - 0.008,
                height_at(line, x) - 0.075,
                x + 0.008,
                height_at(line, x) + 0.02,
                p.shade((0.5, 0.36, 0.24)),
            )
    if p.has("tree"):
        round_tree(p, p.uniform(0.2, 0.8), horizon + p.uniform(0.2, 0.28), p.uniform(0.38, 0.52), 0.05)
    if p.has("flowers"):
        flowers(p, horizon + 0.14, p.rng.integers(34, 56))


def lake(p: Painter) -> None:
    horizon = p.uniform(0.44, 0.64)
    sky(p, horizon - 0.08)
    ground = ground_color(p)
    if p.rng.random() < 0.65:
        rock = p.pick(((0.42, 0.45, 0.55), (0.48, 0.44, 0.44)))
        peaks(
            p,
            horizon,
            p.uniform(0.2, 0.34),
            0.6,
            0.55 if p.scene.season == "winter" else p.pick((0.0, 0.25, 0.35)),
            rock,
        )
    else:
        p.area(
            down(p.ridge(horizon - 0.12, 0.05, 3)), p.shade(leaf_color(p) * 0.7, 0.75), p.shade(ground, 0.6)
        )
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.02)
    p.area(down(p.ridge(horizon - 0.025, 0.02, 3)), p.shade(ground * 0.9, 0.4), p.shade(ground * 0.7, 0.3))
    pines = p.has("pines")
    for x in p.rng.uniform(
        0, 1, p.rng.integers(8, 13) if pines or p.scene.tree_color or p.mood("vibrant") else 5
    ):
        tree(p, x, horizon + p.uniform(-0.012, 0.008), p.uniform(0.13, 0.22), 0.3, pines)
    if p.has("house"):
        house(p, p.uniform(0.15, 0.85), horizon + 0.01, p.uniform(0.18, 0.25), 0.05)
    mirror(p, horizon, (0.16, 0.42, 0.58))
    if p.scene.season == "winter":
        for _ in range(6):
            p.oval(
                p.uniform(0, 1),
                p.uniform(horizon + 0.08, 0.95),
                p.uniform(0.05, 0.1),
                p.uniform(0.008, 0.018),
                p.shade((0.9, 0.95, 1.0)),
            )
    if p.has("sailboat"):
        y = p.uniform(horizon + 0.08, 0.8)
        sailboat(p, p.uniform(0.2, 0.8), y, 0.2 + 0.3 * (y - horizon))
    if p.has("dock"):
        x, color = p.uniform(0.3, 0.7), p.shade((0.52, 0.38, 0.26))
        p.polygon([(x - 0.2, 1.02), (x + 0.2, 1.02), (x + 0.06, 0.7), (x - 0.06, 0.7)], color)
        for y in np.linspace(0.73, 0.98, 6):
            half = 0.06 + 0.14 * (y - 0.7) / 0.32
            p.line([(x - half, y), (x + half, y)], color * 0.7, 0.011)
    else:
        p.area(down(p.ridge(0.94, 0.03, 3)), p.shade(ground), p.shade(ground * 0.75))
    if p.has("reeds"):
        for x in np.concatenate([p.rng.uniform(0.0, 0.33, 8), p.rng.uniform(0.67, 1.0, 8)]):
            h = p.uniform(0.12, 0.26)
            p.line(
                [(x, 1.0), (x + p.uniform(-0.03, 0.03), 1.0 - h)], p.shade(p.vary((0.32, 0.44, 0.18))), 0.013
            )


def volcano(p: Painter) -> None:
    horizon = p.uniform(0.62, 0.82)
    sky(p, horizon - 0.05)
    x, top = p.uniform(0.24, 0.76), p.uniform(0.24, 0.46)
    half = (horizon - top) * p.uniform(0.85, 1.25)
    crater = half * p.uniform(0.15, 0.24)
    far_hills = p.ridge(horizon - p.uniform(0.05, 0.16), p.uniform(0.03, 0.08), 5)
    p.area(down(far_hills), p.shade((0.35, 0.32, 0.36), 0.8), p.shade((0.3, 0.28, 0.3), 0.5))
    if p.mood("futuristic"):
        dome_city(p, horizon - 0.05)
    fire = (1.0, 0.42, 0.08)
    if p.has("smoke"):
        for t in np.linspace(1, 0, 24):
            r = 0.035 + 0.1 * t
            for _ in range(2):
                gray = np.full(3, p.uniform(0.3, 0.55)) * (0.45 + 0.55 * np.mean(p.ambient))
                gray = mix(gray, fire, 0.5 * max(0.0, 0.4 - t) if p.has("lava") else 0.0)
                p.oval(
                    x + 0.1 * np.sin(3 * t + p.sun[0] * 6) * t + p.uniform(-0.05, 0.05) * (0.3 + t),
                    top - 0.36 * t,
                    r,
                    r * 0.8,
                    gray,
                )
    steps = np.linspace(0, 1, 12)
    left = [
        (x - crater - (half - crater) * t**1.4 + p.uniform(-0.006, 0.006), top + (horizon + 0.05 - top) * t)
        for t in steps
    ]
    right = [
        (x + crater + (half - crater) * t**1.4 + p.uniform(-0.006, 0.006), top + (horizon + 0.05 - top) * t)
        for t in steps
    ]
    rock = p.vary((0.36, 0.28, 0.28), 0.04)
    p.area([*left, *reversed(right)], p.shade(rock, 0.15), p.shade(rock * 0.8, 0.3))
    p.polygon([(x + 0.3 * crater, top), *right, (x + 0.25 * half, horizon + 0.05)], p.shade(rock * 0.72, 0.2))
    if p.has("lava"):
        bright = p.uniform(0.7, 1.0)
        for _ in range(p.rng.integers(5, 10)):  # sparks
            a, r = p.uniform(-2.4, -0.7), p.uniform(0.05, 0.22)
            p.oval(x + r * np.cos(a), top + r * np.sin(a), 0.010, 0.010, (1.0, 0.7, 0.2), (1.0, 0.5, 0.1))
        p.polygon(
            [(x - 0.6 * crater, top), (x, top - p.uniform(0.05, 0.14)), (x + 0.6 * crater, top)],
            (1.0, 0.6, 0.15),
            (1.0, 0.45, 0.1),
        )
        p.oval(x, top, crater, 0.022, fire, np.array(fire) * bright)
        for _ in range(p.rng.integers(2, 5)):
            px, py, points = x + p.uniform(-0.6, 0.6) * crater, top, []
            drift = (px - x) / crater
            while py < horizon + 0.04:
                points.append((px, py))
                px, py = px + drift * p.uniform(0.0, 0.045) + p.uniform(-0.012, 0.012), py + 0.03
            p.line(points, fire, p.uniform(0.024, 0.036), np.array(fire) * bright)
            p.line(points, (1.0, 0.8, 0.3), 0.011, (1.0, 0.6, 0.2))
    else:
        p.oval(x, top, crater, 0.022, p.shade(rock * 0.5))
    ground = p.vary(
        p.pick(((0.24, 0.22, 0.23), (0.28, 0.34, 0.20), (0.40, 0.30, 0.24)))
        if not p.mood("vibrant")
        else (0.40, 0.66, 0.24),
        0.03,
    )
    p.area(down(p.ridge(horizon + 0.02, 0.025)), p.shade(ground, 0.15), p.shade(ground * 0.75))
    if p.has("lava") and p.rng.random() < 0.5:
        way(p, (x, horizon + 0.03), fire, (0.5, 0.12, 0.05), 0.1, np.array(fire) * 0.4)
    if p.has("rocks"):
        for _ in range(p.rng.integers(4, 8)):
            bx, by, r = p.uniform(0, 1), p.uniform(horizon + 0.1, 1.0), p.uniform(0.03, 0.07)
            p.polygon(
                [
                    (bx + r * np.cos(a) * p.uniform(0.8, 1.1), by + 0.7 * r * np.sin(a) * p.uniform(0.8, 1.1))
                    for a in np.linspace(0, 5.6, 7)
                ],
                p.shade(p.vary((0.2, 0.18, 0.2))),
            )


def snow(p: Painter) -> None:
    horizon, swell, apart = p.uniform(0.42, 0.68), p.uniform(0.4, 2.2), p.uniform(0.08, 0.14)
    sky(p, horizon - 0.04)
    if p.rng.random() < (0.4 if p.has("pines") or p.has("house") else 0.8):
        peaks(p, horizon, p.uniform(0.2, 0.3), 0.6, 0.7, (0.55, 0.62, 0.74))
    if p.mood("futuristic"):
        dome_city(p, horizon)
    white = np.array((0.93, 0.96, 1.0))
    lines = []
    for i, far in enumerate((0.5, 0.25, 0.0)):
        line = p.ridge(horizon + 0.01 + apart * i, swell * 0.04, 2)
        lines.append(line)
        p.area(
            down(line), snow_shade(p, white, far * 0.5), snow_shade(p, white * (0.66, 0.78, 0.96), far * 0.5)
        )
        if p.has("pines") and i < 2:
            for x in p.rng.uniform(0, 1, 6 - 2 * i):
                conifer(
                    p, x, height_at(line, x) + 0.02, p.uniform(0.17, 0.25) * (1 + 0.6 * i), 0.35 - 0.25 * i
                )
    if p.has("igloo"):
        x, y, r = p.uniform(0.25, 0.75), p.uniform(0.78, 0.88), p.uniform(0.14, 0.19)
        p.polygon(
            [(x + r * np.cos(a), y + r * np.sin(a)) for a in np.linspace(-np.pi, 0, 24)],
            p.shade((0.66, 0.77, 0.91)),
        )
        for t in (0.35, 0.68):
            w = r * np.sqrt(1 - t * t)
            p.line([(x - w, y - t * r), (x + w, y - t * r)], p.shade((0.5, 0.62, 0.8)), 0.008)
        p.polygon(
            [(x + 0.36 * r * np.cos(a), y + 0.5 * r * np.sin(a)) for a in np.linspace(-np.pi, 0, 12)],
            (1.0, 0.75, 0.35) if p.lit_windows else p.shade((0.25, 0.32, 0.45)),
            (0.8, 0.5, 0.15) if p.lit_windows else None,
        )
    if p.has("house"):
        house(p, p.uniform(0.2, 0.8), p.uniform(0.78, 0.9), p.uniform(0.22, 0.3))
    if p.has("snowman"):
        x, y, r = p.uniform(0.15, 0.85), p.uniform(0.86, 0.94), p.uniform(0.085, 0.115)
        for dy, part in ((0, 1.0), (-1.5, 0.75), (-2.6, 0.52)):
            p.oval(x, y + dy * r, part * r * 1.08, part * r * 1.08, p.shade((0.68, 0.76, 0.88)))
            p.oval(x - 0.06 * r, y + dy * r, part * r, part * r, p.shade((0.99, 0.99, 1.0)))
        p.polygon([(x, y - 2.65 * r), (x + 0.7 * r, y - 2.5 * r), (x, y - 2.4 * r)], p.shade((1.0, 0.5, 0.1)))
        p.box(x - 0.5 * r, y - 3.7 * r, x + 0.5 * r, y - 3.0 * r, p.shade((0.12, 0.12, 0.15)))
        p.box(x - 0.8 * r, y - 3.1 * r, x + 0.8 * r, y - 2.95 * r, p.shade((0.12, 0.12, 0.15)))
    for _ in range(7):
        x, y = p.uniform(0, 1), p.uniform(horizon + 0.25, 1.0)
        p.line(
            [(x, y), (x + p.uniform(0.05, 0.18), y + p.uniform(-0.012, 0.012))],
            snow_shade(p, white * (0.7, 0.8, 0.96)),
            0.008,
        )
    if p.mood("glowing"):
        for _ in range(9):
            x, y, h = p.uniform(0.05, 0.95), p.uniform(horizon + 0.15, 0.97), p.uniform(0.05, 0.12)
            hue = np.array(p.glow_hues[p.rng.integers(2)])
            p.polygon(
                [
                    (x - 0.22 * h, y),
                    (x - 0.2 * h, y - 0.6 * h),
                    (x, y - h),
                    (x + 0.2 * h, y - 0.6 * h),
                    (x + 0.22 * h, y),
                ],
                hue,
                hue * 0.7,
            )


def night_sky(p: Painter) -> None:
    horizon = p.uniform(0.7, 0.9)
    sky(p, horizon)
    if p.mood("futuristic"):
        dome_city(p, horizon)
    dark = p.shade((0.06, 0.09, 0.14))
    form = p.rng.integers(3)
    line = p.ridge(horizon, 0.05, 3 if form else 5)
    p.area(down(p.ridge(horizon - 0.03, 0.04, 4)), mix(dark, p.haze, 0.5), mix(dark, p.haze, 0.3))
    p.area(down(line), dark, dark * 0.5)
    if p.has("pines"):
        for x in p.rng.uniform(0, 1, p.rng.integers(5, 10)):
            y, h = height_at(line, x) + 0.03, p.uniform(0.14, 0.28)
            for part in (0.0, 0.3, 0.55):
                w = h * 0.26 * (1 - part)
                p.polygon(
                    [(x - w, y - part * h), (x + w, y - part * h), (x, y - min(1, part + 0.5) * h)],
                    dark * 0.7,
                )


KINDS = {
    "forest": forest,
    "city": city,
    "mountains": mountains,
    "ocean": ocean,
    "desert": desert,
    "meadow": meadow,
    "lake": lake,
    "volcano": volcano,
    "snow": snow,
    "night sky": night_sky,
}


def weather(p: Painter) -> None:
    """What lies in the air before everything else: fog, rain, snowflakes, sparks of magic."""
    if p.scene.weather == "misty":
        rows = np.linspace(0, 1, p.side)
        center, tall, dense = p.uniform(0.4, 0.8), p.uniform(0.12, 0.26), p.uniform(0.3, 0.46)
        opacity = (0.12 if p.scene.kind != "snow" else 0.05) + dense * np.exp(
            -(((rows - center) / tall) ** 2)
        )
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
    """The moods that colour a whole picture. `pixels`: float RGB in 0..1, [size, size, 3]."""
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
    p = Painter(scene, rng, size)
    KINDS[scene.kind](p)
    weather(p)
    light = p.light.reduce(2)
    glow = 1.0 - np.asarray(light, np.float32) / 255 * 0.4
    for radius, strength in ((0.012, 0.9), (0.045, 0.9)):
        blurred = light.filter(ImageFilter.GaussianBlur(radius * size))
        glow *= 1.0 - (np.asarray(blurred, np.float32) / 255 * strength).clip(0, 1)
    pixels = 1.0 - (1.0 - np.asarray(p.image.reduce(2), np.float32) / 255) * glow
    return Image.fromarray((255 * grade(p, pixels) + 0.5).astype(np.uint8))
