"""What ONNX Runtime makes of an ONNX file, as another opinion."""

from pathlib import Path

import numpy as np
from onnxruntime import InferenceSession, SessionOptions

from promptflux.classifiers.importers.onnx_graph import image_axes

DTYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}
ERRORS_ALONE = 3


def run_onnx(path: str | Path, images: np.ndarray, output: str | None = None) -> np.ndarray:
    """The values that ONNX Runtime gives for images, float32 [N, C, H, W]: [N, K], of the output with this name."""
    options = SessionOptions()
    options.log_severity_level = ERRORS_ALONE
    session = InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    [taken] = session.get_inputs()
    axes = image_axes(path, images.shape[1:])
    batch = taken.shape[0] if isinstance(taken.shape[0], int) else 1
    values = images.transpose(["nchw".index(axis) for axis in axes]).astype(DTYPES[taken.type])
    wanted = [output] if output else None
    found = [
        # A file may be of a batch of one size alone.
        session.run(wanted, {taken.name: np.repeat(values[row : row + 1], batch, axis=0)})[0]
        for row in range(len(values))
    ]
    return np.stack([np.asarray(values, np.float32).reshape(batch, -1)[0] for values in found])
