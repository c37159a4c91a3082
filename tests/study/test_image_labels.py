"""The labels of images: of the user's own, and in the column `label` of the prompts table."""

from pathlib import Path

import pytest
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.study.image_labels import read_image_labels
from promptflux.study.own_images import OwnImage
from promptflux.study.study import load_study

LABELS = ["forest", "city", "night sky"]
FILES = {"a": "photos/forest/a.png", "b": "photos/city/b.png", "c": "photos/night sky/c.png"}
IMAGES = {name: OwnImage(name, Path(path)) for name, path in FILES.items()}


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(folder: Path, setting: str, labels=LABELS, images=IMAGES) -> dict[str, str]:
    return read_image_labels(setting, images, labels, [Path("."), folder / "workflow"])


def refused(*arguments, **more) -> tuple[str, ...]:
    with pytest.raises(StudyError) as error:
        read(*arguments, **more)
    return error.value.args


def write(path: Path, *lines: str) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path.name


def test_a_folder_a_class(tmp_path):
    assert read(tmp_path, "folders") == {"a": "forest", "b": "city", "c": "night sky"}


def test_folders_that_are_no_labels_are_each_said_once(tmp_path):
    files = ["photos/Forest/a.png", "photos/Forest/b.png", "photos/x/c.png", "photos/city/d.png"]
    images = {Path(path).stem: OwnImage(Path(path).stem, Path(path)) for path in files}
    assert refused(tmp_path, "folders", images=images) == (
        "'photos/Forest/a.png' lies in the folder 'Forest', with `image_labels: folders` its label; the folder's name "
        "must be a label of a classifier of the study (did you mean forest?): forest, city, night sky.",
        "'photos/x/c.png' lies in the folder 'x', with `image_labels: folders` its label; the folder's name "
        "must be a label of a classifier of the study: forest, city, night sky.",
    )


def test_a_table_names_files_or_images_in_any_order_of_columns(tmp_path):
    lines = ("label\timage", "forest\tforest/a.png", "", "night sky\tphotos/night sky/c.png", "city\tb")
    write(tmp_path / "photos/labels.tsv", *lines)  # from its own folder, from the working folder, by the name
    assert read(tmp_path, "photos/labels.tsv") == {"a": "forest", "b": "city", "c": "night sky"}
    write(tmp_path / "some.tsv", "image\tlabel", f"{tmp_path}/photos/city/b.png\tcity")
    assert read(tmp_path, "some.tsv") == {"b": "city"}


def test_all_mistakes_of_a_table_at_once(tmp_path):
    write(
        tmp_path / "labels.tsv",
        *("image\tlabel", "a\tforrest", "d\tcity", "b\tcity", "photos/city/b.png\tforest"),
        *("c", "c\tcity\tforest", '"c\tcity'),
    )
    found = refused(tmp_path, "labels.tsv")
    assert [sentence.split(": ", 1)[0] for sentence in found] == [
        f"labels.tsv, line {number}" for number in (2, 3, 5, 6, 7, 8)
    ]
    for sentence, words in zip(
        found,
        (
            "label is 'forrest'; it must be a label of a classifier of the study (did you mean forest?): forest, city",
            "the image 'd' is none of the study's own",
            "the image 'photos/city/b.png' has a label in line 4",
            "there are 1 cells",
            "there are 3 cells",
            "a quote",
        ),
        strict=True,
    ):
        assert words in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("image,label\na,forest\n", "tabs"),
        ("image\tlabel\n", "no rows"),
        ("", "must have the columns image and label"),
        ("image\tlabel\tmore\n", "'image, label, more'"),
        ('"image\tlabel\n', "quote"),
    ],
)
def test_a_table_that_is_none(tmp_path, content, words):
    (tmp_path / "labels.tsv").write_text(content)
    [sentence] = refused(tmp_path, "labels.tsv")
    assert words in sentence


def test_a_table_that_is_not_there_and_labels_of_no_images(tmp_path):
    [sentence] = refused(tmp_path, "labels.tsv")
    assert "there is no such file" in sentence and "or folders" in sentence
    [sentence] = refused(tmp_path, "photos", images={})
    assert "the study has no images of your own" in sentence


def test_labels_of_a_study_are_checked_before_anything_runs(tmp_path):
    def load():
        study = {"classifiers": ["cnn28"], "prompts": "prompts.tsv"}
        own = {"images": "photos/*/*.png", "image_labels": "folders"}
        return load_study(study | own, [Path("."), WORKFLOW])

    for folder, name in (("forest", "forest"), ("desert", "city"), ("forest", "ocean")):
        (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
        picture = (WORKFLOW / f"examples/scenes/{name}.png").read_bytes()
        (tmp_path / "photos" / folder / f"{name}.png").write_bytes(picture)
    write(tmp_path / "prompts.tsv", "name\tprompt\tlabel", "a\ta tree\tforest", "b\ta forest\t", "c\ta hut")
    study = load()
    assert study.images_of_label == {"desert": ["city"], "forest": ["forest", "ocean"]}
    assert [prompt.label for prompt in study.prompts] == ["forest", None, None]

    before = study.request_digest("prompts")
    write(tmp_path / "prompts.tsv", "name\tprompt\tlabel", "a\ta tree\tsnow", "b\ta forest\t", "c\ta hut")
    assert load().request_digest("prompts") == before  # no image is made again for a label

    write(
        tmp_path / "prompts.tsv", "name\tprompt\tlabel", "a\ta tree\tForest", "b\ta {red|blue} forest\twood"
    )
    (tmp_path / "photos/desert").rename(tmp_path / "photos/dessert")
    with pytest.raises(StudyError) as error:
        load()
    first, second, third = error.value.args
    assert first.startswith(
        "prompts.tsv, line 2: label is 'Forest'; it must be a label of a classifier of the study (did you mean forest?): "
    )
    assert second.startswith("prompts.tsv, line 3: label is 'wood'; it must be a label of a classifier")
    assert "'dessert'" in third and "did you mean desert?" in third
