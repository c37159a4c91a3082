"""A finished study opened in Julia has the arrays that Python has."""

import shutil

import numpy as np

import promptflux

JULIA = """
study = open_study(ARGS[1])
images = study.tensors["gray28"]
for name in ("sea_2", "coffee")
    foreach(value -> println(reinterpret(UInt32, value)), images[name][1:3, 9, 1])
end
println(size(images), size(images[["sea_2", "coffee"]]), images[:][:, :, :, 1] == images[1] == images[images.names[1]])
println(size(study.layers["small"]["torch"]["conv1"]), study.layers["small"]["torch"]["conv1"].names)
println(study.labels["small"], length(study.predictions), " ", length(study.images), " ", length(study.samples["small"]["torch"]))
row = only(filter(row -> row.image == "coffee", study.predictions))
println(row.predicted, " ", row.confidence, " ", only(filter(row -> row.image == "coffee", study.images)).width)
for folder in ARGS[2:end]
    try
        open_study(folder)
        println("opened")
    catch error
        error isa StudyError || rethrow()
        println(join(error.problems, " "))
    end
end
"""


def test_julia_has_the_same_arrays(julia, finished, tmp_path):
    opened = promptflux.open_study(finished / "results")
    results = shutil.copytree(finished / "results", tmp_path / "changed")
    shutil.copytree(results, tmp_path / "half/results")
    (tmp_path / "half/results/tensors/gray28/images.h5").unlink()
    shutil.copytree(results, tmp_path / "cut")
    path = tmp_path / "cut/tensors/gray28/prompts.h5"
    path.write_bytes(path.read_bytes()[:3000])
    with (results / "predictions/small/torch.tsv").open("a") as file:
        file.write("\n")
    folders = [
        finished / "results",
        tmp_path / "nowhere",
        tmp_path,
        tmp_path / "half",
        results,
        tmp_path / "cut",
    ]
    lines = julia(JULIA, *folders).splitlines()
    tensors = opened.tensors["gray28"]
    bits = [int(value.view(np.uint32)) for name in ("sea_2", "coffee") for value in tensors[name][0, 8, :3]]
    assert [int(line) for line in lines[:6]] == bits
    assert lines[6] == "(28, 28, 1, 9)(28, 28, 1, 2)true"
    assert lines[7].startswith("(26, 26, 4, 2)") and '"forest_1"' in lines[7]
    assert lines[8] == '["forest", "city", "sea"]9 9 0'
    said = opened.said("small")["coffee"]
    assert lines[9] == f"{said.predicted} {said.confidence} {opened.images.loc['coffee', 'width']}"
    assert "is not there" in lines[10] and "no results of a study" in lines[11]
    assert "tensors/gray28/images.h5 missing" in lines[12]
    assert "torch.tsv is not what manifest.sha256 says" in lines[13]
    assert "prompts.h5" in lines[14] and len(lines) == 15
