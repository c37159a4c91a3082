"""Where a model of the hub lies on this machine: the cache that all programs of Hugging Face share."""

from pathlib import Path

from promptflux.errors import StudyError, shown


class NotFetchedError(StudyError):
    """What is asked of the hub is not in the cache."""


def cached_folder(model: str, revision: str) -> Path:
    """The folder of a hub id at a revision in the cache; nothing is asked of the network.

    Raises NotFetchedError if it is not there. The layout is that of
    https://huggingface.co/docs/huggingface_hub/guides/manage-cache: `snapshots/{commit}`, and `refs/{name}` with a commit.
    """
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    place = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=model, repo_type="model")
    for commit in (revision, _read(place / "refs" / revision)):
        if commit and (place / "snapshots" / commit).is_dir():
            return place / "snapshots" / commit
    raise NotFetchedError(
        f"generator.model: {model} at {shown(revision)} is not in the cache of this machine ({constants.HF_HUB_CACHE}) any more; "
        f"delete results/fetched and run the same command again where the hub can be reached. On a cluster all "
        f"nodes must see the same cache: set HF_HOME to a folder that they share."
    )


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
