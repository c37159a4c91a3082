"""How fast the explorer opens and scrolls in Chromium, with thirty thousand images.

    python benchmarks/exploring.py [--images 30000] [--sizes 64 512] [--rounds 5]

Makes the results of a study of two variants and two classifiers in two engines for each size of images in pixels: 300 pictures
under the names of all (the browser loads and decodes each name by itself), tensors, and predictions of random numbers.
Writes the page as the rule does, and opens it from the disk in a Chromium without a window (`CHROMIUM`, or the first that is found),
1400 × 900 pixels, drawn by the processor. It is open when the pictures of its first screen are there. Then the grid
is scrolled for three seconds by the wheel of the mouse, at each speed. A frame is late if the one before it is more than
25 ms ago, and bare if rows of the grid are missing in it. At last a search and a sort are timed. Writes exploring.tsv beside itself.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from measured import machine, write_table
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from promptflux.files.predictions import write_predictions
from promptflux.files.tensors import write_tensors
from promptflux.generation.prompts import Prompt, image_seed, images_of_variants, parts_of_image
from promptflux.images.inputs import InputSpec
from promptflux.images.provenance import write_png
from promptflux.metrics.truth import Truth, write_truth
from promptflux.paths import Results
from promptflux.report.explorer import write_explorer
from promptflux.study.variants import read_grid

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
LABELS = ["forest", "city", "desert", "mountain", "beach", "village"]
ENGINES = {"flux": "Flux", "torch": "PyTorch"}
DISTINCT = 300  # pictures; the others are links to these
EACH = 15  # images of a prompt
SHAPE = "gray28"
SPEEDS = (1500, 3000, 8000)  # 8000: nine screens a second
COLORS = ["red", "golden", "misty", "ancient", "quiet", "stormy", "frozen", "vast"]


def results_of(folder: Path, count: int, size: int) -> dict:
    """A finished study of `count` images of `size` × `size` pixels below `folder`: the arguments of `write_explorer`."""
    results = Results(f"{folder}/")
    rng = np.random.default_rng(0)
    prompts = [
        Prompt(
            f"{LABELS[n % 6]}{n}",
            f"A {COLORS[n % 8]} {LABELS[n % 6]} number {n} under a bright sky, \u201coil on canvas\u201d",
        )
        for n in range(-(-count // (2 * EACH)))
    ]
    generator = {
        "model": "models/scenes",
        "steps": 20,
        "guidance_scale": 3.0,
        "seed": 0,
        "images_per_prompt": EACH,
    }
    config = {"generator": generator, "variants": {"weak": {"guidance_scale": 1.5}, "strong": {}}}
    variants = read_grid(config).variants
    names = [name for prompt in prompts for name in images_of_variants(prompt, EACH, variants)]
    distinct = [drawn(size, rng) for _ in range(DISTINCT)]
    texts = {prompt.name: prompt.prompt for prompt in prompts}
    written: dict[tuple[int, str], Path] = {}
    for number, name in enumerate(names):
        variant, prompt, k = parts_of_image(name)
        path = Path(results.image(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = image_seed(0, prompt, k)
        recipe = {
            "prompt": texts[prompt],
            "seed": seed,
            "model": "sha256:0",
            **generator,
            **config["variants"][variant],
        }
        made_with = {"model": "scenes", "scheduler": "DDIMScheduler", "width": size, "height": size}
        # Each file has its own recipe; the pixels of large ones are copied, not packed anew.
        first = written.setdefault((number % DISTINCT, ""), path)
        if first is path or size <= 64:
            write_png(
                path,
                distinct[number % DISTINCT],
                {"recipe": recipe, "made_with": made_with},
                f"{texts[prompt]}\nSteps: 20, Seed: {seed}, Size: {size}x{size}",
            )
        else:
            os.link(first, path)
    spec = InputSpec.from_config(SHAPE)
    tensors = results.tensors(spec.name, "all")
    image = np.zeros(spec.shape, dtype=np.float32)
    with write_tensors(tensors, spec, names) as writer:
        for number in range(len(names)):
            problem = "it is not a PNG, JPEG or WebP image." if number % 5000 == 4999 else ""
            writer.add(image, "0" * 64, (size, size), "RGB", problem)
    classifiers = []
    for classifier in ("cnn28", "cnn224"):
        logits = rng.normal(0, 2, (len(names), len(LABELS))).astype(np.float32)
        logits[
            np.arange(len(names)),
            [LABELS.index(parts_of_image(name)[1].rstrip("0123456789")) for name in names],
        ] += 4
        truth = results.truth(classifier)
        known = Truth(LABELS, prompts, {})
        write_truth(truth, {name: known.of(name, parts_of_image(name)[1]) for name in names})
        files = {}
        for engine in ENGINES:
            path = results.predictions(classifier, engine, "all")
            moved = logits + (rng.normal(0, 1e-6, logits.shape).astype(np.float32) if engine == "flux" else 0)
            moved[::3000, 0] += 9 if engine == "flux" else 0
            with write_predictions(
                path, attributes={}, names=names, labels=LABELS, layer_shapes={}, layer_images=[], kept={}
            ) as writer:
                writer.logits[:] = moved
                writer.probabilities[:] = np.exp(moved) / np.exp(moved).sum(axis=1, keepdims=True)
            files[engine] = [path]
        classifiers.append(
            {
                "name": classifier,
                "description": "",
                "input": spec.to_dict(),
                "predictions": files,
                "truth": truth,
                "alike": {},
                "drawings": [],
            }
        )
    return {
        "title": "promptflux study",
        "asked": {"config": config, "prompts": [vars(prompt) for prompt in prompts]},
        "own": {},
        "drawn": [],
        "classifiers": classifiers,
        "engines": ENGINES,
        "tensors": [tensors],
        "output": results.explorer,
    }


def drawn(size: int, rng: np.random.Generator) -> Image.Image:
    """A picture of smooth noise, of nearly two bytes a pixel as PNG."""
    noise = rng.integers(0, 256, (max(2, size // 8), max(2, size // 8), 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((size, size), Image.Resampling.BICUBIC)


# Notes when the page shows the pictures of its first screen, and keeps the times of frames.
WATCH = """
window.watched = { opened: null, frames: [], bare: 0 };
const watch = (now) => {
  watched.frames.push(now);
  const grid = document.getElementById("grid");
  if (grid) {
    const seen = grid.getBoundingClientRect();
    const rows = [...document.querySelectorAll(".row:not(.free)")].map((row) => row.getBoundingClientRect());
    const covered = rows.length && Math.min(...rows.map((row) => row.top)) <= seen.top + 10
      && Math.max(...rows.map((row) => row.bottom)) >= seen.bottom - 10;
    if (!covered) watched.bare += 1;
    const cells = [...document.querySelectorAll(".row:not(.free) .cell:not([hidden])")].filter((cell) => cell.getBoundingClientRect().top < seen.bottom);
    if (watched.opened === null && cells.length && cells.every((cell) => cell.firstChild.classList.contains("there"))) watched.opened = performance.now();
  }
  requestAnimationFrame(watch);
};
requestAnimationFrame(watch);
"""


def opened(page: Page, url: str) -> float:
    """Seconds from the start of opening the page to the pictures of its first screen."""
    page.goto("about:blank")
    page.goto(url)
    page.wait_for_function("watched.opened !== null", timeout=60_000)
    return page.evaluate("watched.opened") / 1000


def scrolled(page: Page, speed: int, distance: int) -> dict:
    """Frames while the grid is scrolled by `distance` pixels with `speed` pixels a second."""
    session = page.context.new_cdp_session(page)
    page.evaluate("watched.frames = [], watched.bare = 0")
    session.send(
        "Input.synthesizeScrollGesture",
        {
            "x": 800,
            "y": 500,
            "yDistance": -distance,
            "speed": speed,
            "gestureSourceType": "mouse",
            "preventFling": True,
        },
    )
    frames, bare = page.evaluate("[watched.frames, watched.bare]")
    gaps = np.diff(frames)
    return {
        "frames": len(gaps),
        "rate": 1000 / gaps.mean(),
        "late": float((gaps > 25).mean()),
        "longest": gaps.max(),
        "bare": bare,
    }


def reacted(page: Page, what: str, event: str, value: str) -> float:
    """Milliseconds from a change of a control to the page that shows it."""
    return page.evaluate(
        """([id, event, value]) => {
            const control = document.getElementById(id);
            control.value = value;
            const start = performance.now();
            control.dispatchEvent(new Event(event));
            document.body.offsetHeight; // which lays the page out
            return performance.now() - start;
        }""",
        [what, event, value],
    )


def measured(folder: Path, images: int, size: int, rounds: int) -> list[dict]:
    """The rows of the table for images of `size` × `size` pixels."""
    arguments = results_of(folder, images, size)
    start = time.perf_counter()
    write_explorer(**arguments)
    written = time.perf_counter() - start
    path = Path(arguments["output"])
    rows = [("writing the page", written, "s"), ("the page", path.stat().st_size / 1e6, "MB")]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.add_init_script(WATCH)
        times = [opened(page, path.as_uri()) for _ in range(rounds + 1)]
        rows += [("opening, the first time", times[0], "s"), ("opening", statistics.median(times[1:]), "s")]
        for speed in SPEEDS:
            frames = scrolled(page, speed, 3 * speed)
            what = f"scrolling, {speed:,} pixels a second"
            rows.append((what, frames["rate"], "frames/s"))
            rows.append((f"{what}: late frames", 100 * frames["late"], "%"))
            rows.append((f"{what}: bare frames", 100 * frames["bare"] / frames["frames"], "%"))
        search = [reacted(page, "search", "input", text) for text in ("f", "forest", "red city", "")]
        order = [reacted(page, "sort", "change", it) for it in ("sure", "name", "study")]
        rows += [("searching", statistics.median(search), "ms"), ("sorting", statistics.median(order), "ms")]
        browser.close()
    return [
        {"images": images, "pixels": f"{size}×{size}", "what": what, "value": f"{value:.3g}", "unit": unit}
        for what, value, unit in rows
    ]


def chromium() -> str:
    """The Chromium that is here."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise SystemExit("No Chromium was found; install one, or name its program in CHROMIUM.")
    return found


def main(images: int, sizes: list[int], rounds: int) -> None:
    rows = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            rows += measured(Path(folder), images, size, rounds)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        version = browser.version
        browser.close()
    write_table(Path(__file__).with_suffix(".tsv"), f"Chromium {version}, {machine('playwright')}", rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=30_000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    main(arguments.images, arguments.sizes, arguments.rounds)
