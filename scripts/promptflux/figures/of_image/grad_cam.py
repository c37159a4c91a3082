"""Which places of the last convolution speak for the answer (Grad-CAM), laid over the image."""

import numpy as np
from PIL import Image

from promptflux.figures.overlay import Panel, draw_panels
from promptflux.figures.sheet import Sheet, Style
from promptflux.figures.subject import Subject, Why

PLACE = 6
OF = "explained, with a convolution"
TITLE = "Grad-CAM"
CAPTION = (
    "Which places of the last convolution speak for the label: its maps, each weighted by how much more of it would raise the "
    "label's score, added up, and what is negative left out (Grad-CAM, Selvaraju et al. 2017). A map is as coarse as that "
    "convolution. Occlusion asks the same without a look inside; where the two disagree, believe neither too soon."
)


def draw(subject: Subject, style: Style) -> Sheet:
    layer = subject.why[0].layer
    height, width = subject.why[0].gradcam.shape
    return draw_panels(
        subject,
        f"{subject.name}: what speaks for the answer in {layer} of {subject.classifier}",
        f"Grad-CAM on maps of {height} × {width} places, enlarged to the image",
        [panel(why, subject) for why in subject.why],
        style,
    )


def panel(why: Why, subject: Subject) -> Panel:
    """The map of one label; all of it 0 if nothing speaks for the label."""
    height, width = subject.tensor.shape[1:]
    values = np.asarray(Image.fromarray(why.gradcam).resize((width, height), Image.Resampling.BILINEAR))
    most = float(values.max())
    note = "" if most > 0 else "No place of this convolution speaks for it."
    return Panel(why, values, (0.0, most or 1.0), "Grad-CAM", note)
