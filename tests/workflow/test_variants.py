"""A study with variants, run, edited and run again."""

import json
import shutil

import pytest
from PIL import Image
from support.workflow import TEMPLATE, VARIANTS, Study

from promptflux.files.checksums import read_checksums
from promptflux.files.tables import read_predictions, read_table
from promptflux.files.tensors import open_tensors
from promptflux.files.whole import sha256_of_file
from promptflux.images.provenance import read_provenance


def images(study: Study) -> dict[str, tuple[int, bytes]]:
    """The modification time and the bytes of each generated image, by its name in the results."""
    folder = study / "results/images"
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in folder.rglob("*.png")
    }


def test_each_variant_has_its_images_and_all_that_follows_knows_it(finished_grid):
    results = finished_grid / "results"
    names = [
        f"{variant}/{prompt}_1" for variant in VARIANTS for prompt in ("forest-blue", "forest-red", "sea")
    ]
    assert set(images(finished_grid)) == {f"{name}.png" for name in names}
    with open_tensors(results / "tensors/gray28/long/prompts.h5") as batch:
        assert batch.names == names[:3]
    rows = list(read_predictions(finished_grid / finished_grid.TABLE))
    assert {row.image: (row.variant, row.prompt) for row in rows} == {
        "coffee": ("", ""),
        **{name: (name.split("/")[0], name.split("/")[1].rpartition("_")[0]) for name in names},
    }
    assert set(read_checksums(results / "manifest.sha256")) >= {f"images/{name}.png" for name in names}
    for name in ("long/forest-red_1", "long/forest-blue_1"):  # the chosen: the first of each prompt
        assert (results / f"figures/small/{name}/model_output.png").is_file()
        assert (results / f"preprocessed/gray28/{name}.png").is_file()
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "2 variants of the same prompts" in report and "weak/forest-red_1" in report
    assert "a {red|blue} forest" in report
    assert (finished_grid / "results/requests/generate/weak/prompts.json").is_file()


def test_the_variants_differ_by_their_settings_alone(finished_grid):
    recipes = {
        variant: read_provenance(finished_grid / f"results/images/{variant}/sea_1.png")["recipe"]
        for variant in VARIANTS
    }
    differing = {key for key in recipes["weak"] if recipes["weak"][key] != recipes["long"][key]}
    assert differing == {"guidance_scale", "steps"}
    made_with = read_provenance(finished_grid / "results/images/weak/forest-red_1.png")["made_with"]
    assert made_with["template"] == TEMPLATE


def test_tables_and_sheets_have_each_variant(finished_grid):
    results = finished_grid / "results"
    header, *rows = read_table(results / "variants/small.tsv")
    assert header[:6] == ["variant", "steps", "guidance_scale", "images", "agrees", "confidence"]
    assert [row[:4] for row in rows] == [["long", "3", "3", "3"], ["weak", "2", "1.5", "3"]]
    said = list(read_predictions(finished_grid / finished_grid.TABLE))
    weak = [row for row in said if row.variant == "weak"]
    asked = {"forest-red": "forest", "forest-blue": "forest", "sea": "sea"}
    assert float(rows[1][4]) == pytest.approx(
        sum(asked[row.prompt] == row.predicted for row in weak) / 3, abs=1e-6
    )
    assert float(rows[1][6]) == pytest.approx(sum(row.probabilities["forest"] for row in weak) / 3, abs=1e-6)
    header, *rows = read_table(results / "variants.tsv")
    assert header[-3:] == ["images_timed", "seconds_an_image", "memory_mb"]
    assert all(row[-3] == "3" and float(row[-2]) > 0 and float(row[-1]) > 50 for row in rows)
    for prompt in ("forest-red", "forest-blue", "sea"):
        with Image.open(results / f"figures/sheets/{prompt}.png") as sheet:
            assert min(sheet.size) > 100


def test_a_variant_added_or_edited_touches_no_image_of_the_others(grid):
    """Nor does an alternative that is new in a template, or an image that is gone."""
    before = images(grid)
    assert grid.planned() == set()
    shutil.copy(grid / "results/manifest.sha256", grid / "before.sha256")
    grid.change(
        variants={"new": {"guidance_scale": 4}, "weak": {"guidance_scale": 2}}, verify="before.sha256"
    )
    said = grid.run("--dry-run")
    assert "variants: weak is changed in guidance_scale: its images are made again" in said
    assert "variants: new is new" in said
    assert "Generating 3 images (weak" in said and "Generating 3 images (long" not in said
    (grid / "results/images/long/sea_1.png").unlink()
    grid.write_prompts({"forest": "a {red|golden|blue} forest", "sea": "the sea"})
    assert "long/sea_1 is gone and is made again" in grid.run("--dry-run")
    grid.run()
    after = images(grid)
    prompts = ("forest-blue", "forest-golden", "forest-red", "sea")
    assert set(after) == {
        f"{variant}/{prompt}_1.png" for variant in ("long", "new", "weak") for prompt in prompts
    }
    kept = {name for name in after if after[name] == before.get(name)}
    assert kept == {"long/forest-blue_1.png", "long/forest-red_1.png"}
    assert after["long/sea_1.png"][1] == before["long/sea_1.png"][1]
    verdict = {row[0]: row[1] for row in read_table(grid / "results/verify.tsv")}
    assert verdict["images/long/sea_1.png"] == "same bytes"
    assert verdict["images/weak/sea_1.png"] == "differs" and verdict["images/new/sea_1.png"] == "not there"
    sums = read_checksums(grid / "results/manifest.sha256")
    assert sums == {name: sha256_of_file(grid / "results" / name) for name in sums}
    timed = {row[0]: row[-3] for row in read_table(grid / "results/variants.tsv")}
    assert timed == {"variant": "images_timed", "long": "4", "weak": "4", "new": "4"}
    assert grid.planned() == set()


def test_the_images_are_a_data_set(grid, tmp_path):
    (grid / "results/images/weak/old_1.png").write_bytes(
        (grid / "results/images/weak/sea_1.png").read_bytes()
    )
    import datasets

    folder = str(grid / "results/images")
    found = datasets.load_dataset(
        "imagefolder", data_dir=folder, split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(found) == 6
    by_name = {(row["variant"], row["name"]): row for row in found}
    row = by_name["weak", "forest-blue"]
    assert (row["prompt"], row["template"], row["number"]) == ("a blue forest", TEMPLATE, 1)
    assert (row["guidance_scale"], by_name["long", "sea"]["steps"]) == (1.5, 3)
    assert row["image"].size == (32, 32)
    made = read_provenance(grid / "results/images/weak/forest-blue_1.png")["recipe"]
    assert row["image_seed"] == made["seed"]
    lines = (grid / "results/images/metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(lines[0])["file_name"] == "long/forest-red_1.png"
