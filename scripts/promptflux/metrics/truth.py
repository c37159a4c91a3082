"""The truth of an image: the label that is asked of it, for a classifier.

It is what the column `label` of the prompts table says, else the label that the prompt names; of a user's own image what
`image_labels` of the config says. `results/truth/{classifier}.tsv` has it of every image, and all that
counts what is right reads it there.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from promptflux.errors import StudyError
from promptflux.files.tables import read_table
from promptflux.files.whole import whole
from promptflux.generation.prompts import Prompt

# Where a label is from.
COLUMN = "label column"
PROMPT = "prompt"
IMAGE_LABELS = "image_labels"
# Why there is none; the confusion has a row for each.
NONE_NAMED = "(none named)"
OWN_IMAGES = "(own images)"
OTHER_LABEL = "(another label)"  # than the classifier has
TEST_PATTERN = "(test pattern)"  # stands in for an image that cannot be read
NO_TRUTH = (NONE_NAMED, OTHER_LABEL, OWN_IMAGES, TEST_PATTERN)

HEADER = ["image", "label", "source"]


@dataclass(frozen=True)
class Asked:
    """The label that is asked of an image, and where it is from; None if it has no known truth, with the reason.

    source: COLUMN, PROMPT or IMAGE_LABELS, or one of NO_TRUTH.
    """

    label: str | None
    source: str


class Truth:
    """The labels that are asked, for a classifier with `labels`.

    prompts: those of the study. own: the labels of the user's own images, by the image's name. patterns: the images that
    could not be read, for which a test pattern stands in.
    """

    def __init__(
        self,
        labels: Sequence[str],
        prompts: Iterable[Prompt],
        own: Mapping[str, str],
        patterns: Collection[str] = (),
    ):
        self._patterns = frozenset(patterns)
        self._known = frozenset(labels)
        self._prompts = {prompt.name: self._of_prompt(prompt, labels) for prompt in prompts}
        self._own = {image: self._if_known(label, IMAGE_LABELS) for image, label in own.items()}

    def of(self, image: str, prompt: str) -> Asked:
        """What is asked of an image. prompt: the name of its prompt, "" for a user's own."""
        if image in self._patterns:
            return Asked(None, TEST_PATTERN)
        return self._prompts[prompt] if prompt else self._own.get(image, Asked(None, OWN_IMAGES))

    def _of_prompt(self, prompt: Prompt, labels: Sequence[str]) -> Asked:
        if prompt.label is not None:
            return self._if_known(prompt.label, COLUMN)
        name = named_label(prompt.prompt, labels)
        return Asked(None, NONE_NAMED) if name is None else Asked(name, PROMPT)

    def _if_known(self, label: str, source: str) -> Asked:
        return Asked(label, source) if label in self._known else Asked(None, OTHER_LABEL)


def own_labels(groups: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """The labels of the user's own images by the image's name. groups: label -> the names of its images."""
    return {image: label for label, images in groups.items() for image in images}


def write_truth(path: str | Path, truth: Mapping[str, Asked]) -> None:
    """Write the table of what is asked of each image: image, label ("" if none is known), source."""
    rows = [HEADER, *([image, asked.label or "", asked.source] for image, asked in truth.items())]
    with whole(path) as partial:
        text = "".join("\t".join(row) + "\n" for row in rows)
        partial.write_text(text, encoding="utf-8", newline="\n")


def read_truth(path: str | Path) -> dict[str, Asked]:
    """What is asked of each image, by its name, of a table of `write_truth`; StudyError if it is none."""
    return dict(_read(path))


def _read(path: str | Path) -> Iterator[tuple[str, Asked]]:
    lines = read_table(path)
    if (header := next(lines, [])) != HEADER:
        raise StudyError(
            f"{path}: the columns are {', '.join(header) or 'none'}; a table of truth has {', '.join(HEADER)}."
        )
    for image, label, source in lines:
        yield image, Asked(label or None, source)


def named_label(text: str, labels: Sequence[str]) -> str | None:
    """The label that `text` names first, as a whole word or its simple plural; None if it names none.

    Of two labels that start at the same place, the longer one counts.
    """
    found = []
    for label in labels:
        match = whole_word(label).search(text)
        if match:
            found.append((match.start(), -len(match[0]), label))
    return min(found)[2] if found else None


@cache
def whole_word(label: str) -> re.Pattern:
    """A pattern that finds a label or its plural: forest, forests; city, cities; beach, beaches."""
    words = [re.escape(word) for word in re.split(r"[\s_-]+", label.strip()) if word]
    last = words[-1] if words else r"(?!)"
    plural = f"(?:{last}(?:e?s)?" + (f"|{last[:-1]}ies)" if last.endswith("y") else ")")
    return re.compile(r"(?<!\w)" + r"[\s_-]+".join([*words[:-1], plural]) + r"(?!\w)", re.IGNORECASE)
