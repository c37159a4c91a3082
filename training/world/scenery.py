"""What stands in more than one kind of scene: trees, houses, towers, peaks, paths and water."""

import numpy as np
from PIL import Image, ImageFilter

from training.world.painter import NAMED, NEONS, VIBRANT, WHITE, Color, Painter, gradient, mix

FOLIAGE = {
    "": ((0.16, 0.42, 0.18), (0.25, 0.52, 0.22), (0.33, 0.56, 0.24)),
    "spring": ((0.50, 0.74, 0.32), (0.62, 0.80, 0.42), (0.97, 0.74, 0.84), (0.95, 0.82, 0.90)),
    "summer": ((0.14, 0.52, 0.16), (0.22, 0.60, 0.18), (0.32, 0.66, 0.22)),
    "autumn": ((0.86, 0.36, 0.10), (0.93, 0.60, 0.14), (0.74, 0.20, 0.12), (0.90, 0.72, 0.22)),
    "winter": ((0.86, 0.91, 0.96), (0.78, 0.85, 0.92), (0.93, 0.96, 0.99)),
}


def ground_color(p: Painter) -> np.ndarray:
    base = {
        "": (0.36, 0.56, 0.24),
        "spring": (0.52, 0.74, 0.32),
        "summer": (0.32, 0.64, 0.22),
        "autumn": (0.66, 0.52, 0.24),
        "winter": (0.92, 0.95, 0.99),
    }[p.scene.season]
    return p.vary(base, 0.07)


def snow_shade(p: Painter, color: Color, far: float = 0.0) -> np.ndarray:
    """The `color` of snow as the sky lights it: under a red sky it stays bluer than sand and stone."""
    cold = np.mean(p.ambient) * np.array((0.92, 0.98, 1.1))
    return p.shade(color, far, mix(p.ambient, cold, 0.6))


def leaf_color(p: Painter) -> np.ndarray:
    if p.scene.tree_color:
        return p.vary(NAMED[p.scene.tree_color], 0.1)
    if p.mood("vibrant") and p.scene.season != "winter":
        return p.vary(p.pick(VIBRANT), 0.06)
    return p.vary(p.pick(FOLIAGE[p.scene.season]), 0.07)


def leaf_glow(p: Painter) -> np.ndarray | None:
    """The light of a tree's crown in a glowing scene: one of the scene's two hues, for harmony."""
    return p.vary(p.glow_hues[p.rng.integers(2)], 0.05) if p.mood("glowing") else None


def conifer(p: Painter, x: float, foot: float, height: float, far: float) -> None:
    base = (
        p.vary((0.10, 0.34, 0.22), 0.05)
        if not (p.scene.tree_color or p.mood("vibrant")) or p.snowy
        else leaf_color(p)
    )
    glow = leaf_glow(p)
    color = p.shade(base, far) if glow is None else glow * (0.95 - 0.4 * far)
    light = None if glow is None else glow * (0.5 - 0.3 * far)
    width = height * p.uniform(0.2, 0.28)
    p.box(x - 0.03 * height, foot - 0.14 * height, x + 0.03 * height, foot, p.shade((0.30, 0.20, 0.13), far))
    for i, part in enumerate((0.10, 0.34, 0.58)):
        low, top, w = foot - part * height, foot - min(1.0, part + 0.44) * height, width * (1 - 0.27 * i)
        p.polygon([(x - w, low), (x + w, low), (x, top)], color * (0.92 + 0.08 * i), light)
        if p.snowy:
            p.polygon(
                [(x - 0.55 * w, low - 0.16 * height), (x, top), (x + 0.5 * w, low - 0.2 * height)],
                p.shade((0.95, 0.97, 1), far),
            )


def round_tree(p: Painter, x: float, foot: float, height: float, far: float) -> None:
    glow = leaf_glow(p)
    color = p.shade(leaf_color(p), far) if glow is None else glow * (0.95 - 0.4 * far)
    light = None if glow is None else glow * (0.5 - 0.3 * far)
    trunk = p.shade(p.vary((0.32, 0.21, 0.14), 0.05), far)
    w = 0.035 * height
    p.polygon(
        [
            (x - w, foot),
            (x + w, foot),
            (x + 0.6 * w, foot - 0.6 * height),
            (x - 0.6 * w, foot - 0.6 * height),
        ],
        trunk,
    )
    r = height * p.uniform(0.24, 0.3)
    blobs = [(p.uniform(-0.75, 0.75), p.uniform(-0.65, 0.65), p.uniform(0.5, 0.75)) for _ in range(5)]
    for brightness, shift in ((0.80, 0.12), (1.0, 0.0), (1.14, -0.22)):
        for dx, dy, size in blobs if brightness < 1.1 else blobs[:3]:
            size *= 1 if brightness < 1.1 else 0.5
            p.oval(
                x + dx * r + 0.3 * shift * r,
                foot - 0.68 * height + (dy * 0.8 + shift) * r,
                size * r,
                size * r * 0.9,
                np.clip(color * brightness, 0, 1),
                light,
            )


def tree(p: Painter, x: float, foot: float, height: float, far: float, pine: bool) -> None:
    (conifer if pine else round_tree)(p, x, foot, height, far)


def palm(p: Painter, x: float, foot: float, height: float) -> None:
    lean = p.uniform(-0.3, 0.3) * height
    stem = [(x + lean * t * t, foot - height * t) for t in np.linspace(0, 1, 8)]
    p.line(stem, p.shade((0.45, 0.32, 0.2)), 0.05 * height)
    tx, ty = stem[-1]
    for angle in np.linspace(-2.9, -0.2, 7) + p.uniform(-0.1, 0.1):
        r = height * p.uniform(0.38, 0.48)
        leaf = [
            (tx + r * t * np.cos(angle), ty + r * t * np.sin(angle) * 0.7 + 0.5 * r * t * t)
            for t in np.linspace(0, 1, 6)
        ]
        p.line(leaf, p.shade(p.vary((0.16, 0.46, 0.18))), 0.045 * height)


def cactus(p: Painter, x: float, foot: float, height: float) -> None:
    color, w = p.shade(p.vary((0.20, 0.46, 0.24))), 0.15 * height
    p.line([(x, foot), (x, foot - height)], color, w)
    p.oval(x, foot - height, w / 2, w / 2, color)
    for side, at in ((-1, 0.4), (1, 0.55)):
        y = foot - at * height
        p.line(
            [(x, y), (x + side * 0.28 * height, y), (x + side * 0.28 * height, y - 0.3 * height)],
            color,
            0.75 * w,
        )
        p.oval(x + side * 0.28 * height, y - 0.3 * height, 0.37 * w, 0.37 * w, color)


def house(p: Painter, x: float, foot: float, width: float, far: float = 0.0) -> None:
    wall = p.shade(
        p.vary(
            p.pick(((0.72, 0.52, 0.36), (0.90, 0.86, 0.78), (0.68, 0.34, 0.28), (0.85, 0.78, 0.55))), 0.05
        ),
        far,
    )
    roof = (0.95, 0.97, 1.0) if p.snowy else p.pick(((0.55, 0.2, 0.16), (0.35, 0.25, 0.22)))
    h = width * p.uniform(0.5, 0.65)
    p.box(x + 0.22 * width, foot - 1.9 * h, x + 0.36 * width, foot - h, p.shade((0.4, 0.3, 0.28), far))
    p.box(x - width / 2, foot - h, x + width / 2, foot, wall)
    p.polygon(
        [(x - 0.64 * width, foot - h), (x + 0.64 * width, foot - h), (x, foot - 1.9 * h)], p.shade(roof, far)
    )
    window = (1.0, 0.85, 0.45) if p.lit_windows else p.shade((0.45, 0.6, 0.72), far)
    light = np.array((1.0, 0.75, 0.3)) * 0.8 if p.lit_windows else None
    for dx in (-0.28, 0.28):
        p.box(x + (dx - 0.1) * width, foot - 0.72 * h, x + (dx + 0.1) * width, foot - 0.36 * h, window, light)
    p.box(x - 0.08 * width, foot - 0.6 * h, x + 0.08 * width, foot, p.shade((0.3, 0.18, 0.12), far))


def way(
    p: Painter,
    top: tuple[float, float],
    color: Color,
    edge: Color,
    wide: float = 0.2,
    glow: Color | None = None,
) -> None:
    """A path or a river, of water or of lava, that comes towards us and widens."""
    x0, y0 = top
    sway, end = p.uniform(-0.14, 0.14), p.uniform(0.25, 0.75)
    t = np.linspace(0, 1, 16)
    xs = x0 + (end - x0) * t**1.3 + sway * np.sin(2 * np.pi * t) * t
    ys, ws = y0 + (1.03 - y0) * t, 0.008 + wide * t**1.5
    for grow, fill, light in ((1.12, edge, None), (1.0, color, glow)):
        p.polygon(
            [*zip(xs - grow * ws, ys, strict=True), *reversed(list(zip(xs + grow * ws, ys, strict=True)))],
            fill,
            light,
        )


def stroke_water(p: Painter, top: float, bottom: float) -> None:
    """Ripples, denser towards the horizon, and the glitter below a low sun or the moon."""
    for _ in range(16):
        t = p.uniform(0.04, 1) ** 1.4
        y, length = top + (bottom - top) * t, 0.05 + 0.14 * t * p.uniform(0.4, 1)
        x = p.uniform(-0.05, 1.05)
        tone = mix(p.sky_colors[2], WHITE, 0.25) if p.rng.random() < 0.6 else p.shade((0.05, 0.2, 0.35))
        below = p.image.getpixel((min(max(int(x * p.side), 0), p.side - 1), min(int(y * p.side), p.side - 1)))
        glow = None
        if p.mood("glowing"):
            tone, glow = p.glow_hues[0], np.array(p.glow_hues[0]) * 0.5 * p.uniform(0.3, 1)
        p.line(
            [(x, y), (x + length, y + p.uniform(-0.003, 0.003))],
            mix(np.array(below) / 255, tone, 0.4),
            0.007 + 0.009 * t,
            glow,
        )
    if (p.has("sun") and p.scene.time != "day") or p.has("moon"):
        for t in np.linspace(0.04, 0.96, 9) + p.rng.normal(0, 0.02, 9):
            y, spread = top + 0.01 + (bottom - top - 0.02) * t, 0.02 + 0.07 * t
            x, length = p.sun[0] + p.rng.normal(0, spread * 0.4), p.uniform(0.02, 0.04) + 0.05 * t
            p.line(
                [(x - length, y), (x + length, y)],
                mix(p.sun_color, p.haze, 0.15),
                0.008 + 0.008 * t,
                p.sun_color * np.array(0.25),
            )


def mirror(p: Painter, top: float, tint: Color) -> None:
    """Water from `top` to the lower edge that reflects what stands above it."""
    first = int(top * p.side)
    rows = p.side - first
    dark = p.shade(tint)
    for layer, share in ((p.image, 0.6), (p.light, 0.5)):
        above = layer.crop((0, max(0, first - rows), p.side, first)).transpose(
            Image.Transpose.FLIP_TOP_BOTTOM
        )
        above = above.resize((p.side, rows)).filter(ImageFilter.BoxBlur(p.side * 0.004))
        plain = (
            gradient((mix(p.sky_colors[1], dark, 0.5), dark), p.side, rows)
            if layer is p.image
            else Image.new("RGB", (p.side, rows))
        )
        layer.paste(Image.blend(plain, above, share), (0, first))
    stroke_water(p, top + 0.01, 1.0)


def sailboat(p: Painter, x: float, y: float, size: float) -> None:
    sail = p.shade(p.pick(((0.97, 0.97, 0.95), (0.97, 0.97, 0.95), (0.9, 0.3, 0.25), (0.98, 0.8, 0.3))))
    p.polygon([(x, y - size), (x, y - 0.12 * size), (x + 0.5 * size, y - 0.12 * size)], sail)
    p.polygon(
        [
            (x - 0.05 * size, y - 0.85 * size),
            (x - 0.05 * size, y - 0.12 * size),
            (x - 0.4 * size, y - 0.12 * size),
        ],
        sail * 0.9,
    )
    p.polygon(
        [
            (x - 0.5 * size, y - 0.08 * size),
            (x + 0.55 * size, y - 0.08 * size),
            (x + 0.36 * size, y + 0.1 * size),
            (x - 0.34 * size, y + 0.1 * size),
        ],
        p.shade((0.42, 0.22, 0.14)),
    )


def flowers(p: Painter, top: float, count: int) -> None:
    for y in np.sort(p.rng.uniform(0, 1, count) ** 0.8):
        r, x, at = 0.011 + 0.016 * y, p.uniform(-0.02, 1.02), top + (1.02 - top) * y
        color = NAMED[p.scene.flower_color] if p.scene.flower_color else p.pick(VIBRANT)
        glow = None
        if p.mood("glowing"):
            color = mix(color, p.glow_hues[p.rng.integers(2)], 0.5)
            glow = np.array(color) * 0.6
        shown = p.shade(p.vary(color), 0.3 * (1 - y)) if glow is None else color
        p.line([(x, at), (x, at + 2.2 * r)], p.shade((0.2, 0.42, 0.15)), 0.3 * r)
        p.oval(x, at, r, r * 0.8, shown, glow)
        p.oval(x, at, r * 0.35, r * 0.3, mix(shown, (1, 0.9, 0.3), 0.6))


def peaks(p: Painter, base: float, height: float, far: float, snowcap: float, color: Color) -> None:
    """A range of pointed mountains with lit and shaded sides."""
    for x in p.rng.permutation(np.linspace(-0.05, 1.05, p.rng.integers(4, 7))):
        h, half = height * p.uniform(0.65, 1.1), height * p.uniform(0.65, 0.95)
        x, top = x + p.uniform(-0.08, 0.08), base - h
        rock = p.vary(color, 0.04)
        left = [
            (x, top),
            *((x - half * t + p.uniform(-0.012, 0.012), top + h * t) for t in (0.2, 0.4, 0.6, 0.8)),
            (x - half, base + 0.02),
        ]
        right = [
            (x, top),
            *((x + half * t + p.uniform(-0.012, 0.012), top + h * t) for t in (0.2, 0.4, 0.6, 0.8)),
            (x + half, base + 0.02),
        ]
        ridge = [
            (x, top),
            (x + 0.10 * half, top + 0.35 * h),
            (x - 0.06 * half, top + 0.65 * h),
            (x + 0.12 * half, base + 0.02),
        ]
        p.polygon([*left, *reversed(ridge)], p.shade(rock, far))
        p.polygon([*right, *reversed(ridge)], p.shade(rock * 0.72, far))
        if snowcap:
            s = snowcap * p.uniform(0.8, 1.2)
            light, glow = p.shade((0.97, 0.98, 1.0), far * 0.6), None
            if p.mood("glowing"):
                light, glow = mix(light, p.glow_hues[0], 0.7), np.array(p.glow_hues[0]) * 0.5
            p.polygon(
                [
                    (x, top),
                    (x - s * half, top + s * h),
                    (x - 0.5 * s * half, top + 0.8 * s * h),
                    (x - 0.25 * s * half, top + 1.1 * s * h),
                    (x + 0.05 * half, top + 0.75 * s * h),
                ],
                light,
                glow,
            )
            p.polygon(
                [
                    (x, top),
                    (x + 0.05 * half, top + 0.75 * s * h),
                    (x + 0.3 * s * half, top + 1.1 * s * h),
                    (x + 0.55 * s * half, top + 0.8 * s * h),
                    (x + s * half, top + s * h),
                ],
                mix(light, p.shade((0.5, 0.6, 0.8), far), 0.4),
                glow,
            )


def dome_city(p: Painter, horizon: float) -> None:
    """What "futuristic" adds to scenes without a city: slender towers and a dome far away, with lights."""
    for _ in range(p.rng.integers(3, 6)):
        tower(p, p.uniform(0.08, 0.92), horizon + 0.03, p.uniform(0.05, 0.08), p.uniform(0.14, 0.34), 0.4)


def tower(p: Painter, x: float, foot: float, width: float, height: float, far: float) -> None:
    """One building of a futuristic city: a spire, a slab or a tower with discs, edged in neon."""
    color = p.shade(p.vary(p.pick(((0.34, 0.40, 0.58), (0.24, 0.28, 0.44), (0.50, 0.56, 0.70))), 0.04), far)
    neon = np.array(p.pick(NEONS))
    light, shown = neon * (0.75 - 0.5 * far), mix(neon, p.haze, 0.5 * far)
    top, w = foot - height, width / 2
    form = p.rng.integers(4)
    if form == 0:
        p.polygon(
            [
                (x - w, foot),
                (x - 0.5 * w, top + 0.25 * height),
                (x, top),
                (x + 0.5 * w, top + 0.25 * height),
                (x + w, foot),
            ],
            color,
        )
        p.line([(x, top), (x, foot)], shown, 0.013, light)
    elif form == 1:
        p.polygon([(x - w, foot), (x - w, top + 0.5 * width), (x + w, top), (x + w, foot)], color)
        p.line([(x - w, top + 0.5 * width), (x + w, top)], shown, 0.014, light)
    elif form == 2:
        p.box(x - 0.4 * w, top, x + 0.4 * w, foot, color)
        for part in p.rng.uniform(0.0, 0.6, p.rng.integers(1, 4)):
            y = top + part * height
            p.oval(x, y, 1.5 * w, 0.5 * w, mix(color, WHITE, 0.12))
            p.line([(x - 1.4 * w, y + 0.1 * w), (x + 1.4 * w, y + 0.1 * w)], shown, 0.012, light)
    else:
        p.box(x - w, top + w, x + w, foot, color)
        p.oval(x, top + w, w, w, color)
    bright = (1.0, 0.9, 0.6) if p.lit_windows else mix(color, WHITE, 0.35)
    for y in np.arange(top + 0.3 * height, min(foot, 1.0), 0.055):
        if p.rng.random() < 0.7:
            x0 = x + p.uniform(-0.6, 0.1) * w
            p.box(
                x0,
                y,
                x0 + 0.4 * w + 0.008,
                y + 0.018,
                mix(bright, p.haze, 0.5 * far),
                np.array(neon) * 0.3 * (1 - far) if p.lit_windows else None,
            )


def building(p: Painter, x: float, foot: float, width: float, height: float, far: float) -> None:
    walls = (
        VIBRANT
        if p.mood("vibrant")
        else (
            (0.45, 0.48, 0.55),
            (0.58, 0.52, 0.48),
            (0.36, 0.40, 0.50),
            (0.66, 0.62, 0.58),
            (0.55, 0.38, 0.34),
        )
    )
    color = p.shade(p.vary(p.pick(walls), 0.05), far)
    top, w = foot - height, width / 2
    p.box(x - w, top, x + w, foot, color)
    p.box(x + 0.45 * w, top, x + w, foot, color * 0.85)
    roof = p.rng.integers(4)
    if roof == 0:
        p.box(x - 0.5 * w, top - 0.03, x + 0.5 * w, top, color)
    elif roof == 1:
        p.line([(x, top), (x, top - p.uniform(0.03, 0.07))], color, 0.006)
    elif roof == 2:
        p.polygon([(x - w, top), (x + w, top), (x, top - 0.8 * width)], color * 0.8)
    if p.scene.season == "winter":
        p.box(x - w, top - 0.012, x + w, top + 0.004, p.shade((0.95, 0.97, 1.0), far))
    glow = p.mood("glowing")
    share = 0.65 if p.lit_windows else 0.9
    columns = max(2, int(width / 0.052))
    for y in np.arange(top + 0.03, min(foot - 0.02, 1.0), 0.062):
        for dx in np.linspace(-w, w, 2 * columns + 2)[1:-2:2]:
            if p.rng.random() < share:
                lit = p.lit_windows or glow
                tone = np.array((1.0, 0.85, 0.45) if not glow else p.glow_hues[p.rng.integers(2)])
                p.box(
                    x + dx,
                    y,
                    x + dx + 0.9 * w / columns,
                    y + 0.034,
                    mix(tone, p.haze, 0.5 * far) if lit else mix(color, (0.75, 0.88, 1.0), 0.45),
                    tone * (0.5 if glow else 0.3) * (1 - far) if lit else None,
                )
