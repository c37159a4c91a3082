"""Prompts with alternatives: which texts they stand for, their names, and what stays text."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptflux.errors import StudyError
from promptflux.generation.prompts import SCHEMA, read_prompts
from promptflux.generation.templates import combinations, name_of

LISTS = {
    "animals": ["cat", "sleeping dog"],
    "places/castles": ["tower", "a {old|new} keep"],
    "round": ["__round__"],
    "nested": ["one __animals__", "two"],
}


def texts(template: str) -> list[str]:
    return [text for text, _ in combinations(template, LISTS.__getitem__)]


@pytest.mark.parametrize(
    "template, expected",
    [
        ("a forest", ["a forest"]),
        ("a {red|blue} sea", ["a red sea", "a blue sea"]),
        ("{a|b} {1|2|3}", ["a 1", "a 2", "a 3", "b 1", "b 2", "b 3"]),
        ("a { red | light blue } sea", ["a red sea", "a light blue sea"]),
        ("a {|misty} forest", ["a forest", "a misty forest"]),
        ("a {big {old|new}|small} house", ["a big old house", "a big new house", "a small house"]),
        ("__animals__ at __places/castles__", [
            "cat at tower", "cat at a old keep", "cat at a new keep",
            "sleeping dog at tower", "sleeping dog at a old keep", "sleeping dog at a new keep",
        ]),
        ("{a|__nested__}", ["a", "one cat", "one sleeping dog", "two"]),
        # What is no alternative is text as it stands.
        ("a {x} b", ["a {x} b"]),
        ("${HOME} {wildcards.batch}", ["${HOME} {wildcards.batch}"]),
        ('{"a": {"b": 1}}', ['{"a": {"b": 1}}']),
        ("a | b } c }}", ["a | b } c }}"]),
        ("{ open", ["{ open"]),
        ("{% raw %}", ["{% raw %}"]),
        ("a_b __ c ____ d__e", ["a_b __ c ____ d__e"]),
        # A brace that is text
        ("{{red|blue}} {a|b}", ["{red|blue} a", "{red|blue} b"]),
        ("{{red|blue} {a|b}", ["{red|blue} a", "{red|blue} b"]),
        ("{a|{{b|c}}}", ["a", "{b|c}"]),
        ("{{ 7 * 7 }}", ["{ 7 * 7 }"]),
        ("{{", ["{"]),
        ("{x {a|b}}", ["{x a}", "{x b}"]),
        ("a (gold:1.3) {big|small} [fog|mist]", ["a (gold:1.3) big [fog|mist]", "a (gold:1.3) small [fog|mist]"]),
    ],
)  # fmt: skip
def test_the_texts_of_a_template(template, expected):
    assert texts(template) == expected


@pytest.mark.parametrize(
    "template, words",
    [
        ("a {red|blue forest", ["'{red|blue forest'", "not closed"]),
        ("{a|b {c|d}", ["not closed"]),
        ("{red|red}", ["'red'", "twice"]),
        ("{red| red }", ["'red'", "twice"]),
        ("__round__", ["names itself"]),
        ("{a|b|c|d|e|f|g|h|i|j}" * 5, ["100,000 prompts", "10,000"]),
        ("{" * 200 + "a|b" + "}" * 200, ["too deep"]),
    ],
)
def test_a_mistake_is_a_sentence(template, words):
    with pytest.raises(StudyError) as error:
        texts(template)
    assert all(word in str(error.value) for word in words), error.value


@given(st.text(alphabet="{}|_ab ", max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        found = combinations(text, lambda name: ["x", "y"])
    except StudyError:
        return
    if "{" not in text and "__" not in text:
        assert found == [(text, ())]
    assert len({choices for _, choices in found}) == len(found)


@given(st.text(max_size=30).filter(lambda text: "{" not in text and "__" not in text))
def test_text_without_braces_is_itself(text):
    assert combinations(text, LISTS.__getitem__) == [(text, ())]


def test_names_are_stable_and_sound(tmp_path):
    assert name_of("forest", ["red", "at dawn"]) == "forest-red-at_dawn"
    assert name_of("forest", [""]) == "forest-none"
    lossy = name_of("forest", ["red!"])
    assert re.fullmatch("forest-red_[0-9a-f]{6}", lossy) and lossy != name_of("forest", ["red?"])
    assert re.fullmatch("forest-[0-9a-f]{6}", name_of("forest", ["森"]))
    long = name_of("forest", ["x" * 20, "y" * 20, "z" * 20])
    assert len(long) == 64 and long != name_of("forest", ["x" * 20, "y" * 20, "z" * 19 + "a"])


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4))
def test_every_name_is_one_of_the_table(choices):
    assert SCHEMA.problems({"name": name_of("a" * 64, choices), "prompt": "x"}, "") == []


def table(tmp_path, *rows: str):
    (tmp_path / "prompts.tsv").write_text(
        "\n".join(["name\tprompt\tnegative_prompt\timages", *rows]), encoding="utf-8"
    )
    return read_prompts(tmp_path / "prompts.tsv")


def test_a_row_becomes_a_prompt_for_each_combination(tmp_path):
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards/animals.txt").write_text("# some\ncat\n\nred fox\n", encoding="utf-8")
    rows = table(tmp_path, "sea\tthe sea", "forest\ta {red|blue} forest with a __animals__\t{{blurry\t2")
    assert [row.name for row in rows] == [
        "sea", "forest-red-cat", "forest-red-red_fox", "forest-blue-cat", "forest-blue-red_fox",
    ]  # fmt: skip
    assert rows[0].template is None
    assert rows[4].prompt == "a blue forest with a red fox"
    assert rows[4].template == "a {red|blue} forest with a __animals__"
    assert (rows[4].negative_prompt, rows[4].images) == ("{blurry", 2)


def test_another_alternative_leaves_the_names_of_the_others(tmp_path):
    before = {row.name: row.prompt for row in table(tmp_path, "f\ta {red|blue} {fox|cat}")}
    after = {row.name: row.prompt for row in table(tmp_path, "f\ta {gold|blue|red} {cat|fox}")}
    assert before.items() <= after.items() and len(after) == 6


@pytest.mark.parametrize(
    "rows, words",
    [
        (["f\ta {red|blue"], ["line 2: the brace", "not closed"]),
        (["f\ta __nothing__"], ["line 2: __nothing__", "wildcards/nothing.txt", "no such file"]),
        (["f\ta __empty__"], ["empty.txt", "no lines"]),
        (["f\ta {Red|red}"], ["'f-red'", "taken by line 2"]),
        (["f-red\tx", "f\ta {red|blue}"], ["line 3", "'f-red'", "taken by line 2"]),
        (["f\ta\t{ugly|blurry}"], ["negative_prompt has alternatives"]),
        (["f\t{|}"], ["twice"]),
        (["f\t{|a}"], ["line 2: prompt is ''"]),
    ],
)
def test_a_mistake_in_the_table_is_a_sentence(tmp_path, rows, words):
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards/empty.txt").write_text("# nothing\n")
    with pytest.raises(StudyError) as error:
        table(tmp_path, *rows)
    assert all(word in str(error.value) for word in words), error.value
