"""What is embedded in models/ was made by this training: the classifiers and the generator know the drawn world."""

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from support.workflow import WORKFLOW
from train_classifier import kinds, logits_of

from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights
from training.world.drawing import draw
from training.world.labels import LABELS

SCENES = WORKFLOW / "models/scenes"


def embedded_classifier(name):
    spec = load_spec(WORKFLOW / f"models/classifiers/{name}.yaml")
    assert spec.labels == LABELS
    assert spec.weights_path.stat().st_size < 15_000_000
    return Network(spec).load(load_weights(spec.weights_path, spec))


@pytest.fixture(scope="module")
def new_drawings():
    """A hundred drawings that no training saw, and the seed of the first."""
    first, count = 2_000_000, 100
    return first, np.stack([np.asarray(draw(first + i)[0]) for i in range(count)])


@pytest.fixture(scope="module")
def pipeline():
    return DiffusionPipeline.from_pretrained(SCENES)


@pytest.mark.parametrize("name", ["cnn28", "cnn32", "cnn224"])
def test_embedded_classifiers_know_drawings(name, new_drawings):
    """The weights in the repository, on new drawings."""
    first, drawings = new_drawings
    logits = logits_of(embedded_classifier(name), drawings)
    right = (logits.argmax(1) == kinds(first, len(drawings))).float().mean()
    assert right >= 0.85  # 100 drawings measure ± 3 %; the model card has the figure on 2,000


def test_the_embedded_generator_is_small_and_draws(pipeline):
    sizes = [path.stat().st_size for path in SCENES.rglob("*") if path.is_file()]
    assert max(sizes) <= 15_000_000 and sum(sizes) <= 45_000_000
    image = pipeline("a serene sunset over a futuristic city", num_inference_steps=3).images[0]
    assert image.size == (128, 128) and np.asarray(image).std() > 10


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("northern lights dancing across a dark starry sky", "night sky"),
        ("a whispering forest with glowing trees", "forest"),
        ("an ancient volcano at night, lava, velvet", "volcano"),
    ],
)
def test_the_embedded_generator_ignores_words_that_it_does_not_know(prompt, kind, pipeline):
    """Held against cnn32: the pieces of "across" once were those of a desert with cacti."""
    images = pipeline(
        [prompt] * 3,
        num_inference_steps=20,
        guidance_scale=3.0,
        generator=[torch.Generator().manual_seed(seed) for seed in range(3)],
    ).images
    logits = logits_of(embedded_classifier("cnn32"), np.stack([np.asarray(image) for image in images]))
    assert [LABELS[k] for k in logits.argmax(1)] == [kind] * 3
