"""What is said of the embedded generator is counted right."""

import json
import shutil

import describe_scenes
import numpy as np
import pytest
import torch
from support.workflow import WORKFLOW

from training import evaluation
from training.judge import Judge, judged, load_judge, save_judge
from training.world.captions import caption
from training.world.drawing import draw
from training.world.facts import FACTS, facts_of, facts_of_drawings, places_of
from training.world.labels import LABELS
from training.world.sampling import sample_scene
from training.world.scene import TIMES, Scene

TABLE = WORKFLOW / "training/judged_prompts.tsv"


def logits_of(*scenes: Scene) -> torch.Tensor:
    """What a judge that is always right says of drawings of `scenes`."""
    return 4 * torch.tensor([facts_of(scene) for scene in scenes]) - 2


def test_the_prompts_name_facts_and_every_kind_and_time():
    asked = evaluation.asked_prompts(TABLE)
    assert all(fact in FACTS for one in asked for fact in one.facts.items())
    assert {one.facts["kind"] for one in asked} == set(LABELS)
    assert {one.facts.get("time") for one in asked} == {*TIMES, None}
    assert sum(len(one.facts) == 3 for one in asked) >= 40
    assert len({one.prompt for one in asked}) == len(asked)


def test_no_caption_of_the_training_is_a_prompt_of_the_evaluation():
    rng = np.random.default_rng(0)
    prompts = {one.prompt.lower() for one in evaluation.asked_prompts(TABLE)}
    assert not prompts & {caption(sample_scene(rng), rng).lower() for _ in range(20_000)}


def test_shares_count_kinds_times_and_all_three():
    asked = [
        evaluation.Asked("misty night forest", {"kind": "forest", "time": "night", "weather": "misty"}),
        evaluation.Asked("a lake with the moon", {"kind": "lake", "things": "moon"}),
    ]
    logits = logits_of(
        Scene("forest", "night", "misty"),
        Scene("forest", "day", "misty"),
        Scene("lake", "night", things=("moon",)),
        Scene("ocean", "night"),
    )
    assert evaluation.shares(asked, logits) == {
        "kind": 0.75,
        "time": 0.5,
        "third": 0.75,
        "three": 0.5,
        "of_kind": {"forest": 1.0, "lake": 0.5},
        "of_prompt": {"misty night forest": 0.5, "a lake with the moon": 0.5},
    }


def test_the_bound_of_the_third_fact_counts_drawings_of_the_kind_that_show_it():
    asked = [
        evaluation.Asked("lake, moon", {"kind": "lake", "things": "moon"}),
        evaluation.Asked("a castle", {"kind": "mountains", "things": "castle"}),  # in no drawing
        evaluation.Asked("a city", {"kind": "city"}),
    ]
    shown = [
        Scene("lake", "night", things=("moon",)),
        Scene("lake", "night", things=("moon",)),
        Scene("lake", "day"),
        Scene("ocean", "night", things=("moon",)),
    ]
    taken_for = [shown[0], Scene("lake", "night"), shown[0], Scene("ocean", "night")]
    facts = np.array([facts_of(scene) for scene in shown], np.float32)
    assert evaluation.third_on_drawings(asked, logits_of(*taken_for), facts) == 0.5
    assert np.isnan(evaluation.third_on_drawings(asked[1:], logits_of(*taken_for), facts))


def test_frechet_distance_of_normal_features():
    rng = torch.Generator().manual_seed(0)
    one = torch.randn(20_000, 4, generator=rng)
    assert evaluation.frechet(one, one) == pytest.approx(0, abs=1e-6)
    # Between N(0, 1) and N(3, 2²) in four dimensions: 4 · 3² + 4 · (2 − 1)².
    other = 3 + 2 * torch.randn(20_000, 4, generator=rng)
    assert evaluation.frechet(one, other) == pytest.approx(40, rel=0.03)


def test_distances_are_between_the_images_of_one_prompt():
    black, white = np.zeros((128, 128, 3), np.uint8), np.full((128, 128, 3), 255, np.uint8)
    assert evaluation.distances(np.stack([black, white, white, white]), 2).tolist() == [1.0, 0.0]


def test_facts_of_drawings_are_those_of_their_seeds():
    facts = facts_of_drawings(40, 3)
    for row, seed in zip(facts, range(40, 43), strict=True):
        _, scene = draw(seed, 16)
        assert row.tolist() == facts_of(scene)
        assert LABELS[row[places_of("kind")].argmax()] == scene.kind


def test_a_judge_is_the_same_from_its_file(tmp_path):
    torch.manual_seed(0)
    judge = Judge()
    save_judge(judge, tmp_path / "judge.safetensors")
    drawings = np.stack([np.asarray(draw(seed)[0]) for seed in (1, 2)])
    features, answers = judged(judge, drawings)
    again = judged(load_judge(tmp_path / "judge.safetensors"), drawings)
    assert features.shape == (2, 64) and answers.shape == (2, len(FACTS))
    assert torch.equal(features, again[0]) and torch.equal(answers, again[1])


def test_the_model_card_holds_what_was_measured(tmp_path):
    """Each figure of the card is the evaluation's."""
    model = tmp_path / "pipeline"
    shutil.copytree(WORKFLOW / "models/scenes", model)
    go = {
        "objective": "v_prediction",
        "drawings": 7,
        "steps": 5678,
        "seconds": 600,
        "batch": 64,
        "machine": "a laptop",
    }
    trained = {
        "autoencoder": {
            "steps": 1234,
            "seconds": 60,
            "machine": "a laptop",
            "decoder": {"steps": 77, "seconds": 7200, "machine": "a laptop"},
        },
        "text_model": {"steps": 88, "seconds": 120, "machine": "a GPU"},
        "denoiser": [go, go | {"steps": 91, "machine": "a GPU"}],
    }
    (model / "training.json").write_text(json.dumps(trained))
    measured = {
        "images": 150, "prompts": 50, "steps": 20, "guidance_scale": 3.0, "kind": 0.98, "time": 0.96, "third": 0.91,
        "three": 0.87, "judge_on_drawings": {"kind": 0.995, "time": 0.985, "third": 0.9}, "frechet_distance": 1.25,
        "frechet_distance_of_drawings": 0.5, "frechet_images": 256, "difference_between_seeds": 0.2,
        "near_identical_pairs": 0, "pairs": 150, "seconds_of_nine_images": 12.3, "threads": 2, "psnr_db": 31.5,
        "of_prompt": {"a castle": 1.0, "a windmill": 0.3333},
        "sharpness": {of: {"fine": 0.07, "finest": share, "edge": 0.19} for of, share in (("drawings", 0.031), ("decoded", 0.021), ("images", 0.011))},
    }  # fmt: skip
    (tmp_path / "evaluation.json").write_text(json.dumps(measured))
    for name in ("plot.png", "samples.png"):
        (tmp_path / name).write_bytes(b"")
    describe_scenes.main(
        pipeline=str(model),
        evaluation=str(tmp_path / "evaluation.json"),
        plot=str(tmp_path / "plot.png"),
        samples=str(tmp_path / "samples.png"),
        scenes=str(tmp_path / "scenes"),
        sums=str(tmp_path / "scenes.sha256"),
    )
    card = (tmp_path / "scenes/README.md").read_text()
    for figure in (
        "the autoencoder in 1,234 steps (60 s on a laptop)",
        "the decoder alone, once more, in 77 steps (2.0 hours on a laptop)",
        "in 88 steps (2 min on a GPU)",
        "in 5,678 steps (10 min on a laptop) of 64 latents of 7 drawings,\n  then 91 steps (10 min on a GPU)",
        "all that is asked: a windmill.",
        "| images | 0.070 | 0.011 | 0.190 |",
        "31.5 dB",
        "98.0%",
        "96.0%",
        "87.0%",
        "99.5%",
        "1.25",
        "0 of 150",
        "Forest, city, mountains,",
    ):
        assert figure in card, figure
    assert "{" not in card.replace("{scale", "")
