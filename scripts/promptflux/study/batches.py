"""How the images of a study are divided into batches."""

import hashlib
from collections.abc import Iterable

OWN_IMAGES_PER_BATCH = 128
PROMPTS_PER_JOB, BATCHES = 64, 32  # of `prompts_per_job: auto`


def prompts_per_job(setting: int | str, prompts: int) -> int:
    """The most prompts of a batch; for `auto` 64, doubled until some 32 batches hold a study of so many prompts.

    A job costs about 0.2 s beside its work, and a study of 10,000 prompts would have
    hundreds in each stage. As the size doubles only when the study does, what is sorted
    into other batches stays in proportion to what is added.
    """
    if isinstance(setting, int):
        return setting
    size = PROMPTS_PER_JOB
    while prompts > size * BATCHES:
        size *= 2
    return size


def batches(names: Iterable[str], size: int, prefix: str) -> dict[str, list[str]]:
    """Divide names into batches of at most `size`, named `prefix` and some binary digits.

    All names start in one batch; a batch that is too large is split by the next bit of
    its names' SHA-256 (extendible hashing, Fagin et al. 1979, doi:10.1145/320083.320092).
    So a name's batch does not depend on the order of the names, and a new name touches one
    batch. Within a batch the names keep the order in which they were given.
    """

    def split(members: list[tuple[str, str]], digits: str) -> dict[str, list[str]]:
        if len(members) <= size:
            return {prefix + digits: [name for name, _ in members]} if members else {}
        halves: dict[str, list[str]] = {}
        for bit in "01":
            half = [(name, bits) for name, bits in members if bits[len(digits)] == bit]
            halves |= split(half, digits + bit)
        return halves

    hashed = [(name, format(int(hashlib.sha256(name.encode()).hexdigest(), 16), "0256b")) for name in names]
    return split(hashed, "")
