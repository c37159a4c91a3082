"""Make the golden files anew, with real Flux: PYTHONPATH=scripts:tests python -m support.golden

Two small random networks with all their layers, and the logits of the embedded classifiers
for the photographs of examples/. On a machine without Julia, PyTorch and the file contracts are
held against them. To be run when a contract or the embedded weights change.
"""

from pathlib import Path

from support.workflow import GOLDEN, WORKFLOW

SMALL = {"golden0": 4, "golden1": 9}  # name -> seed of the random spec
CLASSIFIERS = ("cnn28", "cnn32", "cnn224")
PHOTOS = ("cat.png", "moon.png")


def main() -> None:
    import subprocess

    import numpy as np

    from promptflux.classifiers.spec import load_spec
    from promptflux.classifiers.weights import load_weights, save_model
    from support.flux import PROJECT, RUN_FLUX, random_spec, write_images, write_weights

    def run(code: str, *arguments: object) -> None:
        command = ["julia", "--startup-file=no", f"--project={PROJECT}", "-e", f"using PromptFlux\n{code}"]
        subprocess.run([*command, *map(str, arguments)], check=True)

    for name, seed in SMALL.items():
        spec = random_spec(GOLDEN, name, seed)
        model = write_weights(GOLDEN, spec, seed)
        write_images(
            GOLDEN, spec, np.random.default_rng(seed).random((2, *spec.input.shape), dtype=np.float32)
        )
        run(RUN_FLUX, model)
        for suffix in (".bson", ".txt", "_plain.h5"):
            (GOLDEN / f"{name}{suffix}").unlink()
    for classifier in CLASSIFIERS:
        spec = load_spec(WORKFLOW / f"models/classifiers/{classifier}.yaml")
        model, tensors = GOLDEN / f"{classifier}.h5", GOLDEN / f"{classifier}_tensors.h5"
        write_photos(tensors, spec)
        save_model(model, load_weights(spec.weights_path, spec), spec)
        run(
            "infer(; model=ARGS[1], tensors=ARGS[2], output=ARGS[3], micro_batch=16, kernels=\"fast\", device=\"cpu\")",
            model, tensors, GOLDEN / f"{classifier}_flux.h5",
        )  # fmt: skip
        tensors.unlink()
        model.unlink()


def write_photos(path: Path, spec) -> None:
    """A tensors file of the photographs, as the classifier wants them."""
    from promptflux.files.tensors import write_tensors
    from promptflux.images.fitting import fitted, tensor
    from promptflux.images.opening import open_rgb

    with write_tensors(path, spec.input, [name.split(".")[0] for name in PHOTOS]) as writer:
        for name in PHOTOS:
            picture, mode = open_rgb(WORKFLOW / "examples/photos" / name)
            writer.add(
                tensor(fitted(picture, spec.input), spec.input), "0" * 64, picture.size[::-1], mode, ""
            )


if __name__ == "__main__":
    main()
