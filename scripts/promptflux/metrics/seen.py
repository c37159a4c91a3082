"""What a classifier in an engine says of the images of a study."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.generation.prompts import parts_of_image


@dataclass(frozen=True)
class Seen:
    """What is said of N images, of K labels each, sorted as in the table of predictions.

    variants, pairs: of each its variant, and what pairs it with those of other variants: its prompt and number; "" and None of a
    user's own. logits: float32 [N, K]. predicted: the place of the predicted label, int [N]. confidence: its
    probability, float64 [N], 0..1.
    """

    images: list[str]
    variants: list[str]
    pairs: list[tuple[str, int] | None]
    logits: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray


def read_seen(generated: Sequence[str], own: Sequence[str], labels: Sequence[str]) -> Seen:
    """Read predictions files, of generated images and of the user's own.

    Raises StudyError if one has other labels than `labels`.
    """
    rows = []
    logits, confidence = [], []
    for path in [*generated, *own]:
        with open_predictions(path) as batch:
            if batch.labels != list(labels):
                raise StudyError(f"{path}: its labels are not those of the study; make the file anew.")
            for name in batch.names:
                variant, prompt, k = parts_of_image(name) if path in generated else ("", "", 0)
                rows.append((not prompt, prompt, k, name, variant))
            logits.append(batch.logits)
            confidence.append(batch.probabilities.max(axis=1))
    order = sorted(range(len(rows)), key=rows.__getitem__)
    rows = [rows[place] for place in order]
    all_logits = np.concatenate(logits)[order]
    return Seen(
        images=[name for *_, name, _ in rows],
        variants=[row[-1] for row in rows],
        pairs=[None if is_own else (prompt, k) for is_own, prompt, k, *_ in rows],
        logits=all_logits,
        # The largest logit, as in the table: probabilities near 1 round to equal floats sooner.
        predicted=all_logits.argmax(axis=1),
        confidence=np.clip(np.concatenate(confidence)[order].astype(float), 0, 1),
    )
