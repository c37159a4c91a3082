"""The prompts table: what it takes, what it refuses, and where its prompts are made."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.generation.prompts import Prompt, image_seed, read_prompts
from promptflux.study.batches import batches

CASES = WORKFLOW / "tests/cases/prompts"

HOSTILE = [
    "quotes \" and ' and `backticks`",
    "$HOME $(touch owned) ${x} $5",
    "{wildcards.batch} {braces} %s %(x)s",
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


# Tables as spreadsheets and pandas write them


@pytest.mark.parametrize(
    "case, prompts",
    [
        ("excel_quoted", [("castle", "a castle, digital art"), ("sign", 'a sign that says "open"')]),
        ("trailing_tabs", [("castle", "a castle")]),
        ("cr_only", [("castle", "a castle"), ("x", "b")]),
        ("utf16le", [("castle", "a castle")]),
        ("nan", [("castle", "a castle", "nan"), ("x", "NaN", "None")]),
        ("pandas_float", [("castle", "a castle", "", 3, 7), ("b", "a b")]),
        ("weights", [("w", "(masterpiece:1.3), [fog], a forest BREAK <lora:detail:0.8> AND a lake")]),
    ],
)
def test_a_table_as_others_write_it(case, prompts):
    read = read_prompts(CASES / f"{case}.tsv")
    assert repr(read) == repr([Prompt(*prompt) for prompt in prompts])


@pytest.mark.parametrize(
    "case, sentences",
    [
        (
            "excel_multiline",
            ["line 2: a cell in quotes goes on to line 3; write each prompt on a line of its own."],
        ),
        (
            "superscript",
            [
                f"line {n}: images is {x!r}; it must be a whole number from 1 to 10000."
                for n, x in ((2, "²"), (3, "３"))
            ],
        ),
        (
            "numeric",  # 001, 1 and 1e5 are names
            [
                "line 5: name is '-1'; it must be letters, digits, _ and -, beginning with a letter or digit, "
                "at most 64 characters."
            ],
        ),
    ],
)
def test_a_table_as_others_write_it_that_is_refused(case, sentences):
    with pytest.raises(StudyError) as error:
        read_prompts(CASES / f"{case}.tsv")
    assert [problem.split(", ", 1)[1] for problem in error.value.args] == sentences


@pytest.mark.parametrize(
    "cell, text",
    [
        ('"a castle"', "a castle"),
        ('"a ""big"" castle"', 'a "big" castle'),
        ('"""castle"""', '"castle"'),
        ('"a\tb"', "a\tb"),
        ('5" tall', '5" tall'),
        ('a "big" castle', 'a "big" castle'),
        ('"it\'s" and more', '"it\'s" and more'),
        ('"a" and "b"', '"a" and "b"'),
        ("'a'", "'a'"),
    ],
)
def test_quotes(tmp_path, cell, text):
    """What is beside such a cell stays in its column."""
    table = write(tmp_path / "p.tsv", "name\tprompt\tnegative_prompt\timages", f"a\t{cell}\t\t2", "b\tc")
    assert read_prompts(table) == [Prompt("a", text, "", 2), Prompt("b", "c")]


@pytest.mark.parametrize("cell", ['"hello', '"', '"""', '"a" b "c'])
def test_a_quote_that_nothing_closes_is_named_with_its_line(tmp_path, cell):
    table = write(tmp_path / "p.tsv", "name\tprompt", "x\ty", f"a\t{cell}", "b\tc", "d e\tf")
    with pytest.raises(StudyError) as error:
        read_prompts(table)
    assert "line 3: a cell begins with a quote" in error.value.args[0]
    assert "line 5: name is 'd e'" in error.value.args[1]


def test_rows_inside_of_a_cell_in_quotes_are_no_rows_of_their_own(tmp_path):
    table = write(tmp_path / "p.tsv", "name\tprompt", 'a\t"one', "two words\tthree", 'four"', "b c\td")
    with pytest.raises(StudyError) as error:
        read_prompts(table)
    assert [problem.split(": ")[0].split(", ")[1] for problem in error.value.args] == ["line 2", "line 5"]
    assert "goes on to line 4" in error.value.args[0]


@pytest.mark.parametrize(
    "content, words",
    [
        (b"\tname\tprompt\n0\ta\tb\n", "the first column has no name"),
        ("name\tprompt\na\tb\n".encode("utf-16-le"), "NUL bytes"),
        ("name\tprompt\na\tb\n".encode("utf-16-be"), "NUL bytes"),
        (b"name\tprompt\timages\na\tb\t3.5\n", "images is '3.5'"),
        (b"name\tprompt\tseed\na\tb\t1e3\n", "seed is '1e3'"),
        (b"name\tprompt\tseed\na\tb\t" + b"9" * 5000, "seed is '999"),
        (b"name\tprompt\na\t\x1b[2J\n", "control characters"),
        (b"name\tprompt\na\t" + b"x" * 100_001, "at most 100000 characters"),
        (b"name\tprompt\n" + b"a\tb\n" * 100_001, "100,002 lines; at most 100,000"),
        (b"name\tprompt\n" + b"\t" * 1_000_000, "100 cells were found"),
        (b"x" * 20_000_001, "more than 20 MB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_tables_that_are_refused(tmp_path, content, words):
    (tmp_path / "p.tsv").write_bytes(content)
    with pytest.raises(StudyError, match=words):
        read_prompts(tmp_path / "p.tsv")


SOUND = b'name\tprompt\tnegative_prompt\timages\tseed\na\t"a ""big"" city"\t\t3.0\t\nb\t5" tall\tfog\t2\t7\n'


@settings(max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(
        st.tuples(st.integers(0, len(SOUND)), st.integers(0, 5), st.binary(max_size=3)),
        min_size=1,
        max_size=3,
    )
)
def test_any_bytes_are_prompts_or_sentences(tmp_path, edits):
    data = SOUND
    for place, gone, new in edits:
        data = data[:place] + new + data[place + gone :]
    (tmp_path / "p.tsv").write_bytes(data)
    try:
        prompts = read_prompts(tmp_path / "p.tsv")
    except StudyError as error:
        assert str(error).strip() and all(line.isprintable() for line in str(error).splitlines())
    else:
        assert prompts and all(prompt.name.isascii() and prompt.prompt for prompt in prompts)


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
