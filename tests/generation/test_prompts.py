"""The prompts table: what it takes, what it refuses, and where its prompts are made."""

import random

import pytest

from promptflux.errors import StudyError
from promptflux.generation.prompts import Prompt, image_seed, read_prompts
from promptflux.study.batches import batches

HOSTILE = [
    "quotes \" and ' and `backticks`",
    "$HOME $(touch owned) ${x} $5",
    "{wildcards.batch} {{braces}} %s %(x)s",
    "🌲 a forest 🌋 and an emoji family 👨‍👩‍👧",
    "غابة خضراء under שמש",
    '<script>alert(1)</script> & <img src="x">',
    "a line separator \u2028 and a form feed \x0c inside",
    "word " * 1000,
]


def write(path, *lines: str) -> str:
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return str(path)


def test_every_column_is_read(tmp_path):
    table = write(
        tmp_path / "p.tsv",
        "name\tprompt\tnegative_prompt\timages\tseed",
        "forest\ta forest\tfog\t2\t7",
        "",
        "city\ta city",
    )
    assert read_prompts(table) == [Prompt("forest", "a forest", "fog", 2, 7), Prompt("city", "a city")]


def test_columns_in_any_order_and_line_ends_of_any_system(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_bytes(b"\xef\xbb\xbfprompt\tname\r\na forest\tforest\r\n")
    assert read_prompts(path) == [Prompt("forest", "a forest")]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_prompt_is_text_as_it_stands(tmp_path, text):
    table = write(tmp_path / "p.tsv", "name\tprompt", f"it\t{text}")
    assert read_prompts(table) == [Prompt("it", text.strip())]


@pytest.mark.parametrize(
    "lines, words",
    [
        ([], ["empty", "name and prompt"]),
        (["name\tprompt"], ["no prompts"]),
        (["name,prompt", "a,b"], ["column name is missing", "tabs"]),
        (["name\tprompt\tsize", "a\tb\t3"], ["'size'", "unknown"]),
        (["name\tprompt\tprompt", "a\tb\tc"], ["prompt", "twice"]),
        (["name\tprompt", "a\t"], ["line 2", "prompt is missing"]),
        (["name\tprompt", "a\tx\ty"], ["line 2", "3 cells", "2 columns"]),
        (["name\tprompt", "../a\tx"], ["line 2", "'../a'", "letters"]),
        (["name\tprompt", "a b\tx"], ["line 2", "'a b'"]),
        (["name\tprompt", "a$(x)\tx"], ["line 2", "a$(x)"]),
        (["name\tprompt", f"{'a' * 65}\tx"], ["line 2", "64"]),
        (["name\tprompt", "a\tx", "a\ty"], ["line 3", "'a'", "line 2"]),
        (["name\tprompt", "a\tx", "A\ty"], ["line 3", "'A'", "capitals"]),
        (["name\tprompt\timages", "a\tx\t0"], ["line 2", "images is 0", "1 to 10000"]),
        (["name\tprompt\timages", "a\tx\tmany"], ["line 2", "'many'"]),
        (["name\tprompt\tseed", "a\tx\t-1"], ["line 2", "'-1'"]),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(tmp_path, lines, words):
    table = write(tmp_path / "p.tsv", *lines)
    with pytest.raises(StudyError) as error:
        read_prompts(table)
    assert str(error.value).startswith(table)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_all_problems_are_named_at_once(tmp_path):
    table = write(tmp_path / "p.tsv", "name\tprompt\timages", "a\t\t1", "b\tx\t0", "c\tfine\t1", "C\tx\t1")
    with pytest.raises(StudyError) as error:
        read_prompts(table)
    assert [problem.removeprefix(f"{table}, ") for problem in error.value.args] == [
        "line 2: prompt is missing.",
        "line 3: images is 0; it must be a whole number from 1 to 10000.",
        "line 5: the name 'C' is taken by line 4 (capitals do not tell names apart).",
    ]


def test_a_table_in_another_encoding_is_refused(tmp_path):
    path = tmp_path / "p.tsv"
    path.write_bytes("name\tprompt\na\tcafé".encode("latin-1"))
    with pytest.raises(StudyError, match="UTF-8"):
        read_prompts(path)


def test_a_seed_is_stable_and_its_own():
    # Recorded once: another value would change every image that anybody has made.
    assert image_seed(0, "forest", 1) == 8010346298304531
    seeds = {image_seed(seed, name, k) for seed in (0, 1) for name in ("a", "b") for k in range(1, 100)}
    assert len(seeds) == 2 * 2 * 99
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_batches_do_not_depend_on_the_order():
    names = [f"prompt{i}" for i in range(200)]
    shuffled = random.Random(1).sample(names, len(names))
    as_sets = [
        {batch: set(members) for batch, members in batches(order, 32, "prompts").items()}
        for order in (names, shuffled)
    ]
    assert as_sets[0] == as_sets[1]
    assert all(len(members) <= 32 for members in as_sets[0].values())
    assert set.union(*as_sets[0].values()) == set(names)


def test_a_new_name_touches_one_batch():
    names = [f"prompt{i}" for i in range(200)]
    before = batches(names, 32, "prompts")
    for new in ("x", "y", "forest"):
        after = batches([new, *names], 32, "prompts")
        changed = {batch for batch, members in before.items() if after.get(batch) != members}
        assert len(changed) == 1


def test_one_batch_holds_what_fits_and_names_keep_their_order():
    assert batches(["b", "a", "c"], 3, "prompts") == {"prompts": ["b", "a", "c"]}
    assert batches([], 3, "prompts") == {}
    assert all(len(members) == 1 for members in batches(["b", "a", "c"], 1, "prompts").values())
