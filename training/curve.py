"""The losses of a training as a picture."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from promptflux.files.whole import whole


def loss_curve(losses: dict[str, list[float]], title: str, path: str | Path) -> None:
    """Draw the losses (one value per step) as smoothed curves on a logarithmic scale (PNG)."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for name, values in losses.items():
        width = max(1, len(values) // 100)
        smooth = np.convolve(values, np.ones(width) / width, "valid")
        axes.plot(np.arange(len(smooth)) + width, smooth, label=name)
    axes.set(title=title, xlabel="step", ylabel="loss (running mean)", yscale="log")
    axes.grid(alpha=0.3)
    axes.legend()
    with whole(path) as partial:
        figure.savefig(partial, format="png", dpi=120, metadata={"Software": None})
