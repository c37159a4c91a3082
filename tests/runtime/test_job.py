"""How a script meets Snakemake: what `main` is called with, and how a job ends."""

import errno
import os
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
from support.workflow import WORKFLOW

from promptflux.classifiers import inference
from promptflux.errors import StudyError
from promptflux.generation import loading
from promptflux.runtime import gpu
from promptflux.runtime.job import note
from promptflux.script import arguments, run


@pytest.fixture
def rule(tmp_path):
    """A stand-in for the object that Snakemake gives to a script, which has dictionaries where that has lists with names."""

    def rule(inputs=None, outputs=None, params=None, wildcards=None, threads=1, log=True, resources=None):
        return SimpleNamespace(
            rule="any",
            input=inputs or {},
            output=outputs or {},
            params=params or {},
            wildcards=wildcards or {},
            threads=threads,
            log=[str(tmp_path / "any.log")] if log else [],
            resources=resources or {},
        )

    return rule


def test_each_parameter_gets_what_the_rule_has_under_its_name(rule):
    def main(*, images, model, table, style, classifier, threads):
        raise AssertionError("it is not to be called")

    snakemake = rule(
        {"images": ["a.png", "b.png"], "model": "m.h5", "another": "x"},
        {"table": "t.tsv"},
        {"style": {"dpi": 30}, "code": "0123"},
        {"classifier": "small"},
        threads=3,
    )
    assert arguments(main, snakemake) == {
        "images": ["a.png", "b.png"],
        "model": "m.h5",
        "table": "t.tsv",
        "style": {"dpi": 30},
        "classifier": "small",
        "threads": 3,
    }


def test_what_a_job_is_asked_is_found_by_its_names(rule):
    def main(*, names, micro_batch): ...

    asked = {"names": ["a"], "micro_batch": 16, "code": "0123"}
    assert arguments(main, rule(params={"asked": asked})) == {"names": ["a"], "micro_batch": 16}
    with pytest.raises(TypeError, match="names is in 2 places"):
        arguments(main, rule({"names": ["b"]}, params={"asked": asked}))


def test_what_the_rule_does_not_have_keeps_its_default(rule):
    def main(*, model, device="auto", weights=None): ...

    assert arguments(main, rule({"model": "m.h5"})) == {"model": "m.h5"}


def test_an_empty_list_is_none_where_that_is_the_default(rule):
    def main(*, weights=None, own, names=()): ...

    found = arguments(main, rule({"weights": [], "own": []}, params={"names": []}))
    assert found == {"weights": None, "own": [], "names": []}


def test_a_name_that_is_nowhere_is_an_error(rule):
    def main(*, model, table): ...

    with pytest.raises(TypeError, match="rule any: table is in 0 places of it, not in one"):
        arguments(main, rule({"model": "m.h5"}))


@pytest.mark.parametrize(
    "places",
    [
        {"inputs": {"model": "a"}, "outputs": {"model": "b"}},
        {"inputs": {"model": "a"}, "params": {"model": "b"}},
        {"params": {"model": "a"}, "wildcards": {"model": "b"}},
        {"inputs": {"model": "a"}, "outputs": {"model": "b"}, "params": {"model": None}},
    ],
)
def test_a_name_in_several_places_is_an_error(rule, places):
    def main(*, model="a default"): ...

    with pytest.raises(TypeError, match=f"rule any: model is in {len(places)} places"):
        arguments(main, rule(**places))


def test_a_param_called_threads_is_an_error(rule):
    def main(*, threads): ...

    with pytest.raises(TypeError, match="threads is in 2 places"):
        arguments(main, rule(params={"threads": 4}))


def test_what_is_noted_goes_to_the_terminal_and_to_the_log(rule, tmp_path, capsys):
    run(lambda: note("a 🌲 of $5"), rule())
    assert capsys.readouterr().err == "a 🌲 of $5\n"
    assert (tmp_path / "any.log").read_text(encoding="utf-8") == "a 🌲 of $5\n"
    note("afterwards")
    assert "afterwards" not in (tmp_path / "any.log").read_text(encoding="utf-8")


def test_a_mistake_of_the_user_ends_the_job_with_its_sentences(rule, tmp_path, capsys):
    def main():
        raise StudyError("a.png is empty.", "b.png is damaged.")

    with pytest.raises(SystemExit) as ended:
        run(main, rule())
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert printed == "error: a.png is empty.\nb.png is damaged.\n"
    assert (tmp_path / "any.log").read_text(encoding="utf-8") == printed


def test_a_mistake_of_ours_keeps_its_traceback(rule):
    def main():
        raise KeyError("a bug")

    terminal = sys.stderr
    with pytest.raises(KeyError, match="a bug"):
        run(main, rule())
    assert sys.stderr is terminal


@pytest.mark.parametrize(
    "number, words",
    [
        (errno.ENOSPC, "the disk is full; free some space"),
        (errno.EDQUOT, "quota"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "permission is denied"),
        (errno.ENAMETOOLONG, "longer than the file system takes (255 bytes"),
        (errno.EIO, "input/output error"),
    ],
)
def test_what_the_file_system_refuses_is_a_sentence(rule, tmp_path, capsys, number, words):
    def main():
        raise OSError(number, os.strerror(number), "images/a\x1b[31m.png")

    with pytest.raises(SystemExit) as ended:
        run(main, rule())
    assert ended.value.code == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: 'images/a\\x1b[31m.png': ") and words in printed
    assert printed.count("\n") == 1 and printed.endswith(".\n")
    assert (tmp_path / "any.log").read_text(encoding="utf-8") == printed


def test_a_real_disk_that_is_full_is_a_sentence(rule, capsys):
    def main():
        with open("/dev/full", "w") as file:
            file.write("x")

    with pytest.raises(SystemExit):
        run(main, rule())
    assert capsys.readouterr().err.startswith("error: a file of the job: the disk is full")


def test_a_name_of_300_bytes_is_a_sentence(rule, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(lambda: (tmp_path / ("é" * 150)).write_text("x"), rule())
    assert "é: the name is longer" in capsys.readouterr().err.replace("'", "")


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(
            "Unable to flush file's cached information (file write failed: errno = 28, error message = 'x')"
        ),
        Exception("Error while serializing: I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_in_the_words_of_a_library_is_a_sentence(rule, capsys, error):
    def main():
        raise error

    with pytest.raises(SystemExit):
        run(main, rule())
    assert "the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "a"), IsADirectoryError(21, "x"), OSError("x")]
)
def test_another_error_of_files_is_a_mistake_of_ours(rule, error):
    def main():
        raise error

    with pytest.raises(type(error)):
        run(main, rule())


def test_a_log_that_cannot_be_written_is_a_sentence(rule, tmp_path, capsys):
    snakemake = rule()
    snakemake.log = [str(tmp_path / ("x" * 300))]
    with pytest.raises(SystemExit) as ended:
        run(lambda: None, snakemake)
    assert ended.value.code == 1
    assert "the name is longer" in capsys.readouterr().err


def test_a_log_on_a_full_disk_takes_nothing_from_the_terminal(rule, capsys):
    def main():
        note("said")
        raise StudyError("a.png is empty.")

    snakemake = rule()
    snakemake.log = ["/dev/full"]
    with pytest.raises(SystemExit) as ended:
        run(main, snakemake)
    assert ended.value.code == 1
    assert capsys.readouterr().err == "said\nerror: a.png is empty.\n"


def test_a_rule_without_a_log_runs(rule, capsys):
    run(lambda: note("said"), rule(log=False))
    assert capsys.readouterr().err == "said\n"


def test_a_job_that_wants_no_gpu_gets_none(rule, monkeypatch):
    import os

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    seen = []
    run(lambda: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]), rule())
    run(lambda: seen.append(os.environ["CUDA_VISIBLE_DEVICES"]), rule(resources={"gpu": 0}))
    assert seen == ["0,1", ""]


@pytest.mark.parametrize(
    "compute",
    [lambda: inference.resolve("auto"), lambda: loading.resolve("auto", "auto")],
    ids=["cnn", "diffusion"],
)
def test_a_gpu_that_pytorch_cannot_use_ends_the_job(rule, monkeypatch, capsys, compute):
    """Where there is one that it can use, the variable hides it, as a PyTorch for CPUs does not see it."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(gpu, "held", 0)
    run(compute, rule(resources={"gpu": 0}))
    with pytest.raises(SystemExit) as end:
        run(compute, rule(resources={"gpu": 1}))
    assert end.value.code == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: this job holds a GPU, and its PyTorch")
    assert "CONDA_OVERRIDE_CUDA" in line and "--resources gpu=0" in line


def test_snakemake_itself_hands_over_what_the_test_thinks(tmp_path):
    """One real rule: its names reach `main`, its mistake is a sentence in the log and ends the run."""
    (tmp_path / "Snakefile").write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path.insert(0, {str(WORKFLOW / "scripts")!r})

            rule any:
                input: images=["Snakefile", "script.py"], weights=[]
                output: table="{{name}}.tsv"
                params: names=["a $5", "b"]
                log: "{{name}}.log"
                threads: 2
                script: "script.py"
            """
        )
    )
    (tmp_path / "script.py").write_text(
        textwrap.dedent(
            """
            from promptflux.errors import StudyError
            from promptflux.script import run

            def main(*, images, table, names, name, threads, weights=None, device="auto"):
                if name == "bad":
                    raise StudyError("bad is no good name.")
                with open(table, "w") as file:
                    print(list(images), list(names), name, threads, weights, device, file=file)

            if "snakemake" in globals():
                run(main, snakemake)
            """
        )
    )
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--keep-going", "good.tsv", "bad.tsv"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert finished.returncode == 1
    assert (tmp_path / "good.tsv").read_text() == (
        "['Snakefile', 'script.py'] ['a $5', 'b'] good 2 None auto\n"
    )
    assert "error: bad is no good name." in finished.stderr
    assert (tmp_path / "bad.log").read_text() == "error: bad is no good name.\n"
    assert not (tmp_path / "bad.tsv").exists()
