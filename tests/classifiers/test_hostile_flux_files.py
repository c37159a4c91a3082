"""Files of Flux that are damaged, or made to do harm: a sentence, soon, in little memory."""

import random
import time
from pathlib import Path

import numpy as np
import pytest
from support.bson import bson, chain, dense, function, made, named, numbers, several

from promptflux.classifiers.importers import jld2
from promptflux.classifiers.importers.flux_file import flux_network, is_flux_file, read_flux
from promptflux.errors import StudyError

CASES = Path(__file__).parents[1] / "cases" / "flux"
EYE = dense(np.eye(3))
KERNEL = numbers(np.ones((3, 3, 1, 2)))


def conv(*fields):
    return made("Flux.Conv", *fields)


def sentence(folder, content, read=read_flux):
    """What is said of a file with this content."""
    file = folder / "model.bson"
    file.write_bytes(bson(content) if isinstance(content, dict) else content)
    started = time.monotonic()
    with pytest.raises(StudyError) as error:
        read(str(file))
    assert time.monotonic() - started < 5
    text = str(error.value)
    assert text.startswith(f"{file}: ") and all(line.isprintable() for line in text.split("\n"))
    return text.removeprefix(f"{file}: ")


def nested(levels):
    """The bytes of documents inside of each other."""
    content = bson({})
    for _ in range(levels):
        content = (len(content) + 8).to_bytes(4, "little") + b"\x03a\0" + content + b"\0"
    return content


def doubled(levels):
    """A chain of chains that each hold the next one twice: 2^levels layers in few bytes."""
    refs = [EYE]
    for _ in range(levels):
        inner = {"tag": "backref", "ref": len(refs)}
        refs.append(chain(inner, inner))
    return {"model": {"tag": "backref", "ref": len(refs)}, "_backrefs": refs}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "this holds no model of Flux, only nothing"),
        ({"epoch": 3, "x": numbers([1])}, "this holds no model of Flux, only epoch (int), x (an array)"),
        ({"a": chain(EYE), "b": chain(EYE)}, "this holds 2 models of Flux, a, b"),
        ({"model": chain(made("Main.MyLayer", 1))}, "model[1] is a MyLayer, which no layer of a spec is."),
        ({"model": chain(made("Flux.LSTM", 1))}, "model[1] is a Flux.LSTM, which no layer of a spec is."),
        ({"model": chain(made("Main.Flux.Dense.Evil"))}, "model[1] is a Flux.Dense.Evil"),
        ({"model": chain(made("CUDA.CuArray", 1))}, "save `cpu(model)`"),
        ({"model": chain(dense(np.eye(3), False, "NNlib.celu"))}, "model[1] has the activation celu, which no layer of a spec is."),
        ({"a": {"model": chain(EYE)}, "b": [1.0, chain(EYE)]}, "this holds 2 models of Flux, a.model, b[2]"),
        ({"model": chain(made("Flux.Dense", made("CUDA.CuArray"), False, function("NNlib.relu")))}, "model[1] has a CUDA.CuArray in place of an array of numbers; save `cpu(model)`"),
        ({"model": chain(made("Flux.Dense", numbers(np.eye(3)), False))}, "model[1] is a Dense of 2 fields, which none of Flux 0.12 to 0.16 is."),
        ({"model": chain(conv(function("NNlib.relu"), KERNEL, False, several(1, 1), several(0, 0, 0, "x"), several(1, 1), 1))}, "model[1] is not of images: its padding is no pair of numbers."),
        ({"model": chain(conv(function("NNlib.relu"), numbers(np.ones((3, 1, 2))), False, several(1), several(0, 0), several(1), 1))}, "model[1] convolves over 1 dimensions, and images have 2."),
        ({"model": chain(made("Flux.BatchNorm", function("NNlib.relu"), None, None, None, None, 1e-5, 0.1, False, False, None, 3))}, "model[1] has no mean and variance"),
        ({"model": {"tag": "execute", "data": []}}, "the tag 'execute', which BSON.jl does not write"),
        ({"model": {"tag": "ref", "path": ["Base", "run"]}}, "only model (JuliaType)"),
        ({"model": {"tag": "backref", "ref": 1}, "_backrefs": [{"tag": "backref", "ref": 1}]}, "a reference of a reference without end"),
        ({"model": {"tag": "backref", "ref": 9}}, "it refers to something that is not there"),
        ({"model": {"tag": "backref", "ref": 1}, "_backrefs": [several({"tag": "backref", "ref": 1})]}, "it holds something that is part of itself"),
        ({"model": {"tag": "array", "type": named("Core.Float32"), "size": [2**40, 2**40], "data": b""}}, "it is cut short"),
        ({"model": {"tag": "array", "type": named("Core.Float32"), "size": [-1, -1], "data": b"1234"}}, "whose size makes no sense"),
        ({"model": {"tag": "array", "type": named("Main.Number"), "size": [1], "data": b"1234"}}, "an array of Number, which is no type of number"),
        ({"model": {"tag": "datatype", "name": [1]}}, "a name in it is no text"),
        (nested(245), "it is more than 240 levels deep"),
        (nested(150), "its values stand more than 120 deep inside of each other"),
        (doubled(40), "its network has more than 10,000 layers"),
        (bson({"model": chain(EYE)})[:-20], "it ends before its content does"),
        (bson({"model": chain(EYE)}) + b"\0", "1 bytes after its end"),
        (b"\xff\xff\xff\x7f\x04a\0" + b"\xff" * 100, "it ends before its content does"),
        (b"", "it ends before its content does"),
        (b"\x16\0\0\0\x02a\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0\0\0\0", "it ends before its content does"),
    ],
)  # fmt: skip
def test_it_is_told_in_a_sentence(content, said, tmp_path):
    assert said in sentence(tmp_path, content)


def test_millions_of_values_are_not_read(tmp_path):
    content = bson({"a": []})
    content = content[:11] + b"\x0a\0" * 1_100_000 + content[-2:]
    assert "it holds more than 1,000,000 values" in sentence(tmp_path, content)


def test_lists_of_one_list_are_searched_once(tmp_path):
    refs = [[1.0]]
    for number in range(1, 5):
        refs.append([{"tag": "backref", "ref": number}] * 2000)
    told = sentence(tmp_path, {"many": {"tag": "backref", "ref": 5}, "_backrefs": refs})
    assert "only many (list)" in told


def test_names_reach_a_message_escaped(tmp_path):
    assert "model[1] is a \\x1b[31mred, which" in sentence(
        tmp_path, {"model": chain(made("Main.\x1b[31mred", 1))}
    )


def test_several_layers_are_told_at_once(tmp_path):
    text = sentence(tmp_path, {"model": chain(made("Main.A", 1), EYE, made("Main.B", 1))})
    assert "model[1] is a A" in text and "model[3] is a B" in text


@pytest.mark.parametrize("name", ["flux_0.15.2.bson", "jld2_0.4.53_state.jld2", "jld2_0.6.5_compressed.jld2"])
def test_a_damaged_file_is_read_or_told(name, tmp_path):
    whole, rng = (CASES / name).read_bytes(), random.Random(name)
    file, told, started = tmp_path / name, 0, time.monotonic()
    for _ in range(120):
        content = bytearray(whole)
        for _ in range(rng.choice([1, 4, 16])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        file.write_bytes(content[: rng.choice([len(content), rng.randrange(len(content))])])
        try:
            read_flux(str(file))
        except StudyError as error:
            told += 1
            assert "Error:" not in str(error)
    assert told > 40 and time.monotonic() - started < 30


def test_what_is_compressed_cannot_fill_the_memory(monkeypatch):
    whole = (CASES / "jld2_0.6.5_compressed.jld2").read_bytes()
    monkeypatch.setattr(jld2, "ROOM", 0)
    monkeypatch.setattr(jld2, "MOST_SMALLER", 0)
    with pytest.raises(jld2.Misfit, match="what is compressed in it is more than"):
        jld2.read_jld2(whole)


def test_a_file_is_told_by_its_content(tmp_path):
    for name in ("flux_0.12.0.bson", "jld2_0.4.53.jld2"):
        file = tmp_path / "model.pt"
        file.write_bytes((CASES / name).read_bytes())
        assert is_flux_file(file)
    file.write_bytes(b"PK\x03\x04" + b"\0" * 600)
    assert not is_flux_file(file)


def test_a_state_has_no_functions_to_convert(tmp_path):
    with pytest.raises(
        StudyError, match="this is the state of a model, which has its weights and not its functions"
    ):
        flux_network(CASES / "flux_0.14.25_state.bson")
