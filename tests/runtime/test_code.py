"""Digests of code: what a stage computes with changes its digest, and nothing else does."""

import itertools
import shutil
import subprocess
from pathlib import Path

import pytest
from support.workflow import WORKFLOW

from promptflux.files.digests import remember, remembered
from promptflux.runtime import code
from promptflux.runtime.code import Sources, julia_digest, python_digest
from promptflux.runtime.julia_code import plain_julia

# A small house: a script, what it imports in each of the ways, and what it does not.
HOUSE = {
    "script.py": '''\
"""A script."""

import json

from house.direct import CONSTANT
from house.rooms import listed  # a module named in its package


def main():
    """Do it."""
    from house.late import late

    return late(CONSTANT, listed.ENTRIES, json.dumps({}))
''',
    "house/__init__.py": '"""The house."""\n',
    "house/direct.py": "from house.transitive import VALUE\n\nCONSTANT = VALUE + 1\n",
    "house/transitive.py": "VALUE = 1\n",
    "house/late.py": "from .beside import twice\n\n\ndef late(*values):\n    return twice(values)\n",
    "house/beside.py": "def twice(values):\n    return values * 2\n",
    "house/rooms/__init__.py": "",
    "house/rooms/listed.py": 'from promptflux.registry import entries\n\nENTRIES = entries("house.things", int)\n',
    "house/things/__init__.py": "",
    "house/things/one.py": "ONE = 1\n",
    "house/things/large/__init__.py": "TWO = 2\n",
    "promptflux/registry.py": "def entries(package, sort):\n    return []\n",
    "house/unrelated.py": "OTHER = 1\n",
    "another_script.py": "from house import unrelated\n",
    "page.html": "<p>A page.</p>\n",
}


@pytest.fixture
def digest(tmp_path):
    """The digest of the script of a house with some changes; each house lies in a place of its own."""
    numbers = itertools.count()

    def digest(changes: dict[str, str | None] | None = None, script="script.py") -> str:
        root = tmp_path / str(next(numbers))
        for name, content in {**HOUSE, **(changes or {})}.items():
            if content is not None:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(content, encoding="utf-8")
        return python_digest(root / script, [root], [root / "page.html"])

    return digest


@pytest.mark.parametrize(
    "changes",
    [
        {"script.py": HOUSE["script.py"].replace("{}", "{1: 2}")},
        {"house/direct.py": HOUSE["house/direct.py"].replace("+ 1", "+ 2")},
        {"house/transitive.py": "VALUE = 1.0\n"},
        {"house/late.py": HOUSE["house/late.py"].replace("twice(values)", "twice(values[:1])")},
        {"house/beside.py": HOUSE["house/beside.py"].replace("2", "3")},
        {"house/rooms/listed.py": HOUSE["house/rooms/listed.py"].replace("int", "float")},
        {"house/things/one.py": "ONE = 10\n"},
        {"house/things/large/__init__.py": "TWO = 3\n"},
        {"house/things/new.py": "THREE = 3\n"},
        {"house/things/one.py": None},
        {"promptflux/registry.py": "def entries(package, sort):\n    return [1]\n"},
        {"house/__init__.py": "import json\n"},
        {"house/rooms/__init__.py": "SETTING = True\n"},
        {"house/transitive.py": "VALUE = 'a text'\n"},
        {"house/transitive.py": "VALUE = None\n"},
        {"house/transitive.py": "VALUE = 1\ndel VALUE\nVALUE = 1\n"},
        {"page.html": "<p>Another page.</p>\n"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_a_script_computes_with_changes_its_digest(digest, changes):
    assert digest(changes) != digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"house/direct.py": "# Why.\n" + HOUSE["house/direct.py"] + "  # and why not\n"},
        {"house/late.py": HOUSE["house/late.py"].replace("):\n", '):\n    """All of them, twice."""\n')},
        {"house/__init__.py": '"""Another sentence."""\n'},
        {"house/__init__.py": ""},
        {"house/direct.py": HOUSE["house/direct.py"].replace("\n\n", "\n\n\n\n")},
        {"house/direct.py": HOUSE["house/direct.py"].replace("VALUE + 1", "(\n    VALUE  +  1\n)")},
        {"house/rooms/listed.py": HOUSE["house/rooms/listed.py"].replace('"', "'")},
        {"house/unrelated.py": "OTHER = 2\n"},
        {"another_script.py": "import json\n"},
        {"house/rooms/another.py": "ROOM = 1\n"},
        {"house/things/notes.txt": "no code"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_nothing_else_changes_it(digest, changes):
    assert digest(changes) == digest()


def test_texts_are_code_but_where_they_are_docstrings(digest):
    said = HOUSE | {"house/transitive.py": 'VALUE = """a text"""\n'}
    other = HOUSE | {"house/transitive.py": 'VALUE = """a  text"""\n'}
    assert digest(said) != digest(other)


def test_entries_are_found_however_the_registry_is_called(digest):
    for text in (
        'from promptflux.registry import entries as all_of\n\nENTRIES = all_of("house.things", int)\n',
        'from promptflux import registry\n\nENTRIES = registry.entries("house.things", int)\n',
    ):
        listed = {"house/rooms/listed.py": text}
        assert digest(listed | {"house/things/one.py": "ONE = 10\n"}) != digest(listed)


def test_a_package_that_is_not_named_by_a_text_is_refused(digest):
    text = 'from promptflux.registry import entries\n\nENTRIES = entries(__package__ + ".things", int)\n'
    with pytest.raises(ValueError, match=r"listed.py, line 3: .* package's name as a text"):
        digest({"house/rooms/listed.py": text})


def test_the_place_of_the_house_does_not_matter(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(WORKFLOW / "scripts", copy, ignore=shutil.ignore_patterns("__pycache__"))
    for script in sorted((WORKFLOW / "scripts").glob("*.py")):
        here, there = (python_digest(root / script.name, [root]) for root in (WORKFLOW / "scripts", copy))
        assert here == there


def test_what_another_process_has_read_is_not_read_again(digest, tmp_path, monkeypatch):
    """By the content of a file: its place and time do not matter, and an edit is seen."""
    expected = digest()
    changed = digest({"house/beside.py": "def twice(values):\n    return values * 3\n"})
    first, cache = Sources(), tmp_path / "cache.json"
    assert (
        python_digest(tmp_path / "0/script.py", [tmp_path / "0"], [tmp_path / "0/page.html"], first)
        == expected
    )
    assert first.is_new
    remember(cache, first.to_know())
    read = []
    source = code._source
    monkeypatch.setattr(code, "_source", lambda *arguments: read.append(arguments) or source(*arguments))
    for place, wanted, count in ((0, expected, 0), (1, changed, 1)):
        root, later = tmp_path / str(place), Sources(remembered(cache))
        assert python_digest(root / "script.py", [root], [root / "page.html"], later) == wanted
        assert len(read) == count and later.is_new == (count > 0)


# What the scripts of the study are held to by their digests.
READ = {
    "promptflux/images/fitting.py": {"preprocess.py"},
    "promptflux/generation/pipeline.py": {"generate.py"},
    "promptflux/classifiers/layers/conv.py": {"import_weights.py", "infer_torch.py"},
}


@pytest.mark.parametrize("module", READ)
def test_a_module_counts_for_the_scripts_that_run_it(tmp_path, module):
    copy, changed = tmp_path / "copy", tmp_path / "changed"
    for folder in (copy, changed):
        shutil.copytree(WORKFLOW / "scripts", folder, ignore=shutil.ignore_patterns("__pycache__"))
    with open(changed / module, "a", encoding="utf-8") as file:
        file.write("\nNEW = 1\n")
    scripts = [path.name for path in copy.glob("*.py")]
    stale = {
        name
        for name in scripts
        if python_digest(copy / name, [copy]) != python_digest(changed / name, [changed])
    }
    assert stale >= READ[module]
    untouched = {"record.py", "predictions.py", "verify.py"}
    assert stale.isdisjoint(untouched)


# Julia ---------------------------------------------------------------------------------

JULIA = '''\
"""
    scaled(values; by=2)

What "scaled" means: `values .* by`.
"""
scaled(values; by=2) = values .* by   # by: a number

"A pair."
struct Pair{T}
    "its first"
    first::T
    "its second"
    second::T
end

function told(values)
    #= a comment of #= two =# storeys =#
    quote_sign = '"'
    text = "# no comment, and $(join(values, ", ")) # nor this"
    pattern = r"#=\\d+\\"=#"
    return text * raw"C:\\\\" * values' * `run "$(values[1])" #1`
end

function words()
    """
    the value
      of this function
    """
end
'''


def of_julia(folder: Path, **sources: str) -> str:
    folder.mkdir(exist_ok=True)
    for name, source in sources.items():
        (folder / f"{name}.jl").write_text(source, encoding="utf-8")
    return julia_digest(folder.glob("*.jl"))


def replaced(source: str, before: str, after: str) -> str:
    assert source.count(before) == 1, before
    return source.replace(before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("What ", "Whatever "),
        ("   # by: a number", ""),
        ("by: a number", "no 'quote' or \"text\" matters here"),
        ('"A pair."\n', ""),
        ('"A pair."\n', '"""\nTwo things, "quoted" and $(all).\n"""\n'),
        ('    "its second"\n', ""),
        ("a comment of #= two =# storeys", "it's another"),
        ("#= a comment of #= two =# storeys =#\n    ", ""),
        ("    return text", "\t\treturn text"),
        ("\n\nfunction words", "\n\n\n# ---- words ----\n\nfunction words"),
        ("struct Pair{T}\n", "struct Pair{T}   \n\n"),
        ("    return text", '    "a statement that does nothing"\n    return text'),
    ],
)
def test_comments_docstrings_and_indentation_of_julia_do_not_matter(tmp_path, before, after):
    changed = replaced(JULIA, before, after)
    assert plain_julia(changed) == plain_julia(JULIA)
    assert of_julia(tmp_path / "a", code=JULIA) == of_julia(tmp_path / "b", code=changed)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("by=2) =", "by=3) ="),
        ("values .* by   #", "values ./ by   #"),
        ("second::T", "second::Float32"),
        ("'\"'", "'#'"),
        ("# no comment, and", "# a comment, and"),
        ('", "', '",  "'),
        ("# nor this", "# nor that"),
        ("\\d+", "\\d*"),
        ('=#"\n', '=# "\n'),
        ('raw"C:', 'raw"D:'),
        ("values' *", "values *"),
        ("#1`", "#2`"),
        ("the value\n", "another value\n"),
        ("      of this", "    of this"),
        ("quote_sign = ", "quote_sign = -"),
    ],
)
def test_code_and_texts_of_julia_do(tmp_path, before, after):
    changed = replaced(JULIA, before, after)
    assert plain_julia(changed) != plain_julia(JULIA)
    assert of_julia(tmp_path / "a", code=JULIA) != of_julia(tmp_path / "b", code=changed)


@pytest.mark.parametrize(
    "source",
    [
        'f() = g(\n    "{}"\n)\n',
        'x = [\n    "{}"\n    "b"\n]\n',
        'x = "a" *\n    "{}"\ny = 1\n',
        'x = a ||\n    "{}"\ny = 1\n',
        'if a\n    "{}"\nelse\n    "b"\nend\n',
        'f() do\n    "{}"\nend\n',
        "x = '{}'\n",
        "x = ['\\'', '\"', '{}'] # it's\n",
        "x = a'; y = b'; '{}'\n",
        "x = (a')' * f.(b') # '\ny = '{}'\n",
        'x = "\\"{}" # "\n',
        'x = "\\\\"; y = "{}"\n',
        'x = "$(f("#", g(\')\')))"; y = "{}"\n',
        'x = """a "b" $(f("""c""")) # {}"""\n',
        'x = r"\\"#{}"i; y = raw"\\\\"\n',
        "x = `a '#{}'`\n",
        "x = ```a `b` #{}```\n",
        'x = var"#{}"\n',
        "#= #= =# =# x = {}\n",
        "#= ' =# x = '{}'\n",
        'f(a) = a[end]\' #"\ny = "{}"\n',
        "x = :{}\n",
        "x = 1 {} 2\n",
    ],
)
def test_a_value_is_never_taken_for_a_comment_or_a_docstring(source):
    assert plain_julia(source.replace("{}", "+")) != plain_julia(source.replace("{}", "-"))


@pytest.mark.parametrize(
    "source",
    [
        "x = 1 # {}\n",
        "x = a' # '{}'\n",
        "x = '#' # {}\n",
        'x = \'"\' # "{}"\n',
        "x = '\\'' # '{}\n",
        'x = "#" # {}\n',
        'x = "$(f("#"))" # {}\n',
        'x = raw"\\\\" # {}\n',
        "#= #= {} =# =# x = 1\n",
        '#= " {} =# x = 1\n',
        'raw"""\n$x {}\n"""\nf(x) = x\n',
        '"""\n{} \\""" still it\n"""\nmacro a(x) end\n',
        '# of the docstring\n"{}"\nconst A = 1\n',
        'module A\n\n"{}"\nf(x) = x\n\nend\n',
        'f(x) = x\n"{}"\ng(x) = x\n',
        'f(x) = x\' \n"{}"\ng(x) = x\n',
        "f(a,#={}=# b) = a\n",
        "x = 1 #{}",
    ],
)
def test_a_comment_or_a_docstring_is_never_taken_for_a_value(source):
    assert plain_julia(source.replace("{}", "one")) == plain_julia(source.replace("{}", "another 'one"))


def test_a_file_of_julia_counts_by_its_name_and_in_any_order(tmp_path):
    once = of_julia(tmp_path / "a", one="x = 1", other="y = 2")
    assert once == of_julia(tmp_path / "b", other="y = 2", one="x = 1")
    assert once != of_julia(tmp_path / "c", one="x = 1", another="y = 2")
    assert once != of_julia(tmp_path / "d", one="x = 1")
    assert once != of_julia(tmp_path / "e", one="y = 2", other="x = 1")


def test_no_code_of_our_julia_is_lost():
    """What is left of each file has all its words but those of comments and docstrings, line by line."""
    for path in sorted((WORKFLOW / "julia").glob("src/**/*.jl")):
        source = path.read_text(encoding="utf-8")
        left = "".join(plain_julia(source)).splitlines()
        plain_lines = {
            " ".join(line.split()) for line in source.splitlines() if '"' not in line and "#" not in line
        }
        defined = {
            line
            for line in plain_lines
            if line.startswith(("function ", "struct ", "return ", "for ", "if "))
        }
        assert defined <= set(left), path


SAME = """
without(value) = value
function without(code::Expr)
    is_docstring = code.head == :macrocall && code.args[1] == GlobalRef(Core, Symbol("@doc"))
    is_docstring && return without(code.args[end])
    kept = filter(part -> !(part isa LineNumberNode), code.args)
    code.head == :block && filter!(part -> !(part isa String) || part === kept[end], kept)
    return Expr(code.head, map(without, kept)...)
end
parsed(path) = without(Meta.parseall(read(path, String)))
foreach(path -> parsed(path) == parsed(path * ".plain") || println(path), ARGS)
"""


@pytest.mark.skipif(shutil.which("julia") is None, reason="needs Julia")
def test_what_is_left_is_the_same_to_julia(tmp_path):
    """Julia's own parser reads the same expressions in each file and in what is left of it."""
    sources = {"made_up": JULIA}
    sources |= {
        str(number): path.read_text() for number, path in enumerate((WORKFLOW / "julia").rglob("*.jl"))
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
        (tmp_path / f"{name}.plain").write_text("".join(plain_julia(source)), encoding="utf-8")
    command = ["julia", "--startup-file=no", "-e", SAME, *(str(tmp_path / name) for name in sources)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""
