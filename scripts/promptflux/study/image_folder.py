"""What makes the folder of the images a data set: a line of `metadata.jsonl` for each.

The format is that of the Hugging Face `imagefolder`, https://huggingface.co/docs/datasets/image_dataset
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptflux.files.whole import whole
from promptflux.generation.prompts import Prompt, image_seed, images_of_variants, parts_of_image
from promptflux.generation.recipe import named
from promptflux.study.variants import SHARED, column_of, laid_over, read_grid, title_of


def write_metadata(path: str | Path, config: Mapping[str, Any], prompts: Sequence[Prompt]) -> None:
    """Write the line of each image that a config makes of prompts, in the order of these."""
    with whole(path) as partial:
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in metadata(config, prompts))
        partial.write_text("".join(lines), encoding="utf-8", newline="\n")


def metadata(config: Mapping[str, Any], prompts: Sequence[Prompt]) -> Iterator[dict[str, Any]]:
    """Of each image `file_name`, relative to its folder, what was asked for in words, its seed and its settings.

    With labels in the prompts table, `label`, too. A setting that is null, as the model has it, is left out; one that is no text and no number is put in words.
    """
    grid, base = read_grid(config), config["generator"]
    settings = {
        name: {
            column_of(key): value if isinstance(value, (str, int, float)) else title_of(value)
            for key, value in named(laid_over(base, variant)).items()
            if key not in SHARED
        }
        for name, variant in grid.variants.items()
    }
    labeled = any(prompt.label is not None for prompt in prompts)
    for prompt in prompts:
        seed = base["seed"] if prompt.seed is None else prompt.seed
        for image in images_of_variants(prompt, base["images_per_prompt"], grid.variants):
            variant, name, k = parts_of_image(image)
            yield {
                "file_name": f"{image}.png",
                "prompt": prompt.prompt,
                "negative_prompt": prompt.negative_prompt,
                "name": name,
                "number": k,
                "template": prompt.template,
                **({"label": prompt.label} if labeled else {}),
                "variant": variant,
                "image_seed": image_seed(seed, name, k),
                **settings[variant],
            }
