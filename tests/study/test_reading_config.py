"""The YAML that people write: what it means, what is refused, and that nothing makes planning hang or end in a traceback."""

import json
import os
import random
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.slips import is_readable, mutated
from support.workflow import WORKFLOW

from promptflux.documents import MOST_NODES, parse_yaml, read_text, read_yaml
from promptflux.errors import StudyError
from promptflux.schema import Schema
from promptflux.study.changes import asked, changes
from promptflux.study.config import user_config
from promptflux.study.study import load_study

DEFAULTS = (WORKFLOW / "config.yaml").read_text(encoding="utf-8")
LAUGH = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 8)}]\n" for i in range(15)
)


@pytest.fixture(autouse=True)
def working_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(call, *arguments) -> str:
    with pytest.raises(StudyError) as error:
        call(*arguments)
    return str(error.value)


def planned(text: str | bytes):
    """The study of a config.yaml of this text."""
    Path("config.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    given, _ = user_config([], {})
    return load_study(given, [Path("."), WORKFLOW])


@pytest.mark.parametrize(
    "text, value",
    [
        ("a: 1_000", {"a": 1000}),
        ("a: 0x1F", {"a": 31}),
        ("a: -2.5e3", {"a": -2500.0}),
        ("a: .5", {"a": 0.5}),
        ("a: yes", {"a": True}),
        ("a:", {"a": None}),
        ("a: 010", {"a": "010"}),  # 8 in YAML 1.1
        ("a: 1:30", {"a": "1:30"}),  # 90
        ("a: 2024-13-45", {"a": "2024-13-45"}),  # a ValueError
        ("a: =", {"a": "="}),
        ("{0: a, 1.50: b, null: c, yes: d}", {"0": "a", "1.50": "b", "null": "c", "yes": "d"}),
        ("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}", {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}}),
        ('{\n\t"a": [1, "x\\/y", null]}', {"a": [1, "x/y", None]}),
        ("\ufeffa: 1", {"a": 1}),
        ("# nothing\n", None),
    ],
)
def test_what_yaml_means(text, value):
    assert parse_yaml(text, "f") == value


@pytest.mark.parametrize(
    "text, words",
    [
        ("a: 1\nb: 2\na: 3", "line 3: the key 'a' is given twice, first in line 1"),
        ("x: {a: 1, 'a': 2}", "the key 'a' is given twice"),
        ("a: &a [1, *a]", "*a stands inside of what it stands for"),
        ("a: *b", "undefined alias"),
        (LAUGH, f"more than {MOST_NODES:,} values, aliases unfolded"),
        ("[" * 900_000, "30 deep"),
        ("{a: " * 900, "30 deep"),
        ("- " * 400_000, "30 deep"),
        ("a: !!python/object/apply:os.system [x]", "the tag"),
        ("a: !!set {x}", "the tag"),
        ("a: !!int x", "the tag"),
        ("? [a]\n: 1", "a key must be a word"),
        ("a: 1\n---\nb: 2", "line 2: a second document"),
        (
            "a:\n\tb: 1",
            "line 2: this is not YAML (found character that cannot start any token); indent with spaces",
        ),
        ("a: 1\nb: c: d", "line 2: this is not YAML"),
        ("a: \x1b[1m", r"'\x1b' is no character of a text"),
        ('a: "\\ud800"', "this is not YAML"),
        ("%YAML 2.0\n---\na: 1", "line 1: this is not YAML"),
        ("<<: 1", "line 1: this is not YAML"),
        ("[" + "1," * 400_000 + "]", "more than"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_yaml_that_is_refused(text, words):
    start = time.perf_counter()
    assert words in said(parse_yaml, text, "f.yaml")
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("digits", ["9" * 5000, "-" + "9" * 31 + "9", "0x" + "f" * 5000])
def test_a_number_of_thousands_of_digits_is_a_text(digits):
    assert parse_yaml(f"a: {digits}", "f") == {"a": digits}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_that_say_what_they_are(encoding):
    Path("f.yaml").write_bytes("a: café".encode(encoding))
    assert read_yaml("f.yaml", "config") == {"a": "café"}


def test_encodings_that_do_not():
    Path("f.yaml").write_bytes("a: 1\nb: café".encode("latin-1"))
    assert said(read_yaml, "f.yaml", "config") == (
        "f.yaml, line 2: byte 11 is not UTF-8; save the config as UTF-8 text."
    )
    for encoding in ("utf-16-le", "utf-16-be"):
        Path("f.yaml").write_bytes("a: café".encode(encoding))
        assert "NUL bytes" in said(read_yaml, "f.yaml", "config")


def test_what_is_no_file_is_not_waited_for():
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("link").symlink_to("nowhere")
    assert "a pipe or a device" in said(read_text, "pipe", "table", 100)
    assert "a pipe or a device" in said(read_text, "/dev/zero", "table", 100)
    assert "is a folder" in said(read_text, "folder", "table", 100)
    assert "a link to a file that is not there" in said(read_text, "link", "table", 100)
    assert "cannot be read" in said(read_text, "x" * 5000, "table", 100)
    assert "cannot be read" in said(read_text, "a\0b", "table", 100)
    Path("long").write_text("x" * 2_000_001)
    assert "more than 2 MB" in said(read_text, "long", "table", 2_000_000)


# config.yaml and --configfile


@pytest.mark.parametrize(
    "text, words",
    [
        (b"", "config.yaml: the config holds nothing"),
        ("# generator: {steps: 3}\n", "config.yaml: the config holds nothing"),
        ("- a\n", "config.yaml: the config holds a list"),
        ("steps", "config.yaml: the config holds a single value"),
        ("generator:\n", "generator is empty (null); it must be a mapping such as {steps: 30}"),
        ("figures:\n", "figures is empty (null)"),
        ("classifiers: []", "classifiers is []; it must be a list"),
        ("generator: {steps: 3}\ngenerator: {seed: 2}", "line 2: the key 'generator' is given twice"),
        ("generator: {guidance_scale: .nan}", "generator.guidance_scale is nan"),
        ("generator: {guidance_scale: .inf}", "generator.guidance_scale is inf"),
        ("generator: {steps: 1.0e+400}", "generator.steps is inf"),
        ("generator: {steps: 2.5}", "generator.steps is 2.5; it must be a whole number"),
        (f"generator: {{seed: {'9' * 5000}}}", "generator.seed is '999"),
        ("generator: {seed: 010}", "generator.seed is '010'"),
        ('generator: {revision: "main\\n"}', "generator.revision is 'main\\n'"),
        ("generator: {stepps: 3}", "did you mean steps?"),
        ("figures: {colormap: virids}", "did you mean viridis?"),
        ("figures: {colormap: no_such}", "the name of a matplotlib colormap"),
        ("images: ''\n", "images is ''; it must be a folder"),  # no null
        ("# café\n".encode("latin-1"), "line 1: byte 5 is not UTF-8"),
        ("images: null\n".encode("utf-16-le"), "NUL bytes"),
        ("verify: '# x'", "verify is '# x', and there is no such folder"),
        ("verify: /etc/passwd", "/etc/passwd, line 1"),
        ("verify: /etc", "'/etc', a folder without the results of a run"),
        ("verify: /dev/zero", "a pipe or a device"),
        ("__use_yte__: true", "'__use_yte__' is unknown"),
        ("prompts: '" + "x" * 5000 + "'", "there is no such file"),
        ("images: '" + "x" * 5000 + "'", "images names"),
        ("prompts: '{a}.tsv'", "Snakemake takes '{a}' in this path"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_config_that_is_refused(text, words):
    Path("{a}.tsv").write_text("name\tprompt\na\tb\n")
    assert words in said(planned, text)


def test_numbers_have_one_type_however_they_are_written():
    study = planned(
        "generator: {seed: 7.0, steps: 3.0, guidance_scale: 7, width: 64.0, prompts_per_job: 2.0}\n"
        "figures: {images: 2.0}\n"
    )
    settings = study.config["generator"]
    expected = {"seed": 7, "steps": 3, "guidance_scale": 7.0, "width": 64, "prompts_per_job": 2}
    assert repr({key: settings[key] for key in expected}) == repr(expected)
    assert repr(study.config["figures"]["images"]) == "2"
    written = planned("generator: {seed: 7, steps: 3, guidance_scale: 7.0, width: 64, prompts_per_job: 2}\n")
    assert written.request_digest("prompts0") == study.request_digest("prompts0")


def test_text_of_the_command_line_is_a_number_where_one_is_wanted():
    given, _ = user_config([], {"generator": {"guidance_scale": "1e-1", "seed": "7.0", "width": "null"}})
    settings = load_study(given, [Path("."), WORKFLOW]).config["generator"]
    assert repr([settings[key] for key in ("guidance_scale", "seed", "width")]) == "[0.1, 7, None]"


def test_all_mistakes_are_said_at_once_also_beside_keys_that_are_wrong():
    sentences = said(
        planned,
        "classifiers: []\nverify: /etc/passwd\nprompts: nowhere.tsv\nfigures: {dpi: 1, images: [x]}\nfoo: 1",
    ).splitlines()
    for words in ("classifiers is []", "/etc/passwd, line 1", "'nowhere.tsv'", "figures.dpi is 1", "'foo'"):
        assert sum(words in sentence for sentence in sentences) == 1, sentences
    assert len(sentences) == 5


def test_thousands_of_mistakes_are_counted():
    Path("prompts.tsv").write_text("name\tprompt\n" + "a b\tx\n" * 1000)
    sentences = said(planned, "{}").splitlines()
    assert len(sentences) == StudyError.MOST_SHOWN
    assert "from here on the table was not looked at" in sentences[-1]
    many = str(StudyError(*map(str, range(1060)))).splitlines()
    assert len(many) == 51 and many[-1] == "... and 1,010 more problems."


def test_configs_are_laid_over_each_other_as_snakemake_does():
    assert user_config([], {}) == ({}, False)
    Path("config.yaml").write_text("generator: {steps: 1, seed: 1}\nverify: null\n")
    Path("mine.yaml").write_text("generator: {steps: 2}\n")
    merged = {"generator": {"steps": 2, "seed": 3}, "verify": None}
    assert user_config(["mine.yaml"], {"generator": {"seed": 3}}) == (merged, True)
    assert user_config(["mine.yaml"], {}, only_these=True) == ({"generator": {"steps": 2}}, False)
    Path("mine.yaml").write_text("a: 1\na: 2\n")
    Path("config.yaml").write_text("")
    assert [words in said(user_config, ["mine.yaml"], {}) for words in ("twice", "holds nothing")] == [
        True
    ] * 2


def test_a_config_of_another_name_or_a_broken_link_is_not_passed_over():
    Path("config.yml").write_text("generator: {steps: 1}\n")
    assert "config.yml: a config of this name is not read" in said(user_config, [], {})
    assert user_config(["config.yml"], {}) == ({"generator": {"steps": 1}}, False)
    Path("config.yaml").symlink_to("nowhere.yaml")
    assert "a link to a file that is not there" in said(user_config, [], {})
    Path("config.yaml").unlink()
    os.mkfifo("config.yaml")
    assert "a pipe" in said(user_config, [], {})


def test_the_colormaps_are_those_of_matplotlib():
    import matplotlib

    from promptflux.study.colormaps import colormap_schema

    assert set(colormap_schema()["enum"]) == set(matplotlib.colormaps)


@pytest.mark.parametrize("name", ["config", "classifier", "prompts"])
def test_every_value_of_a_schema_says_what_it_must_be(name):
    """Else jsonschema's own words would be the sentence, or none."""

    def parts(schema, way):
        yield way, schema
        for key, part in schema.get("properties", {}).items():
            yield from parts(part, f"{way}.{key}")

    schema = yaml.safe_load((WORKFLOW / f"schemas/{name}.schema.yaml").read_text(encoding="utf-8"))
    for way, part in parts(schema, name):
        if way != name:
            assert {"description", "enum", "$ref", "if"} & set(part), way


def test_the_dollar_of_a_pattern_is_the_very_end():
    assert "name is 'a\\n'" in Schema("prompts").problems({"name": "a\n", "prompt": "x"}, "t")[0]


# The record of the last run


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\xff\xfe\x00",
        b"[]",
        b'"x"',
        b'{"config": 3, "prompts": []}',
        b'{"config": {}, "prompts": {"a": 1}}',
        b'{"config": {}, "prompts": [3]}',
        b'{"config": {}, "prompts": [{"name": ["a"]}]}',
        b'{"config": {}}',
        b"[" * 100_000,
        b'{"config": {"a": ' + b"9" * 5000 + b'}, "prompts": []}',
    ],
)
def test_a_damaged_record_is_said_and_stops_nothing(record):
    study = planned("{}")
    Path("study.json").write_bytes(record)
    [sentence] = changes(study.config, study.prompts, "study.json")
    assert sentence.startswith("study.json") and sentence.endswith("What has changed since cannot be told.")


def test_a_record_of_another_version_is_compared_in_what_both_have():
    study = planned("{}")
    record = asked(study.config, study.prompts)
    record["config"]["colour"] = "blue"
    for row in record["prompts"]:
        del row["seed"]
        row["shade"] = "x"
    Path("study.json").write_text(json.dumps(record))
    assert changes(study.config, study.prompts, "study.json") == [
        "colour was 'blue' and is None: this version does not know it."
    ]


# Anything at all: a sentence, or a study


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_config_is_a_study_or_a_sentence(seed):
    text = mutated(yaml.safe_dump(yaml.safe_load(DEFAULTS), sort_keys=False), random.Random(seed))
    try:
        planned(text)
    except StudyError as error:
        is_readable(str(error))
