"""Fetching from the hub: only what a pipeline needs, told beforehand, and a sentence for all that can go wrong."""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path
from typing import Any

from promptflux.errors import StudyError, plain, printable, reason, shown
from promptflux.files.whole import sha256_of_file
from promptflux.generation.adapter_loading import file_of
from promptflux.generation.adapters import only_file
from promptflux.generation.hub_cache import cached_folder
from promptflux.generation.model_check import ASKS_FOR_CODE, NO_CODE, folder_problems, parts_of
from promptflux.generation.model_folder import read_object
from promptflux.runtime.job import note

TIMEOUT = 30.0  # seconds until the hub is said not to answer
COMMIT = re.compile(r"[0-9a-f]{40}")
# What a pipeline reads beside weights.
BESIDE_WEIGHTS = {".json", ".txt", ".model", ".jinja"}


def fetch(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Bring what is wanted of the hub into the cache of this machine, unless it is there; what was fetched.

    wanted: an entry of `Generator.of_the_hub()`. Returns its `repo`, `revision`, the `commit` and the size of each of the
    `files` in bytes. Raises StudyError with what is wrong and the way out.
    """
    from huggingface_hub import HfApi, constants, try_to_load_from_cache

    repo, revision = wanted["repo"], wanted["revision"]
    try:
        with hub_sentences(repo, revision):
            info = HfApi().model_info(repo, revision=revision, files_metadata=True, timeout=TIMEOUT)
            if not info.sha or not COMMIT.fullmatch(info.sha) or info.siblings is None:
                raise StudyError(_not_the_hub())
    except StudyError as error:
        there = _without_the_hub(wanted)
        if there is None:
            raise
        note(f"warning: {error}")
        note(
            f"fetch: all of {repo} that is needed is in the cache of this machine, and is taken as it is there"
        )
        return there
    siblings = {file.rfilename: file for file in info.siblings}
    if not COMMIT.fullmatch(revision):
        note(f"fetch: {revision} of {repo} is the commit {info.sha}; as revision it would stay the same")
    names = _needed(wanted, list(siblings), info.sha)
    sizes = {name: siblings[name].size or 0 for name in names}
    here = {name for name in names if isinstance(try_to_load_from_cache(repo, name, revision=info.sha), str)}
    missing = [name for name in names if name not in here]
    more = sum(sizes[name] for name in missing)
    note(
        f"fetch: {repo} at {info.sha[:12]}: {len(names)} files of {_size(sum(sizes.values()))}, "
        f"{_size(more) + ' of them to download' if missing else 'all of them here'} ({constants.HF_HUB_CACHE})"
    )
    _check_room(Path(constants.HF_HUB_CACHE), more)
    _download(repo, revision, info.sha, {name: siblings[name] for name in missing})
    _remember(repo, revision, info.sha)
    return {"repo": repo, "revision": revision, "commit": info.sha, "files": sizes}


def _needed(wanted: Mapping[str, Any], names: Sequence[str], commit: str) -> list[str]:
    """The files that are fetched, of those that a repository has."""
    from huggingface_hub import hf_hub_download

    repo, revision = wanted["repo"], wanted["revision"]
    if wanted["kind"] != "model":
        file = wanted["file"] or only_file(f"config.yaml: generator.{wanted['kind']}", repo, names)
        if file not in names:
            raise StudyError(
                f"config.yaml: generator.{wanted['kind']} names the file {shown(file)}, which {repo} does not have at {revision}."
            )
        return [file]
    if "model_index.json" not in names:
        single = [name for name in names if name.endswith(".safetensors") and "/" not in name]
        hint = (
            f" It has {plain(single[0])}: download this file, and name its path as model." if single else ""
        )
        raise StudyError(
            f"config.yaml: generator.model is {repo!r}, which has no model_index.json: it is no pipeline in diffusers' format.{hint}"
        )
    with hub_sentences(repo, revision):
        path = hf_hub_download(repo, "model_index.json", revision=commit, etag_timeout=TIMEOUT)
    return files_of_pipeline(names, read_object(Path(path)), wanted["variant"], repo)


def files_of_pipeline(
    names: Sequence[str], index: Mapping[str, Any], variant: str | None, repo: str
) -> list[str]:
    """What a pipeline loads, of the files of a repository: configs, tokenizers, and its weights as .safetensors.

    index: its model_index.json. variant: of the weights; a part that has none of it is loaded without. Raises StudyError
    if a part has no weights that are loaded, no part has the variant, or code of the model's own is asked for.
    """
    for key in ASKS_FOR_CODE:
        if index.get(key):
            raise StudyError(
                f"{repo}: {key} in model_index.json asks for code of the model's own; {NO_CODE}."
            )
    found, of_variant = ["model_index.json"], False
    for part in parts_of(index):
        inside = [name for name in names if name.startswith(f"{part}/") and name.count("/") == 1]
        weights = [name for name in inside if name.endswith(".safetensors")]
        if not weights and any(name.endswith((".bin", ".ckpt", ".pt", ".msgpack")) for name in inside):
            raise StudyError(
                f"config.yaml: generator.model is {repo!r}, whose {part} has no .safetensors weights; weights in other formats "
                f"are not loaded, as they may run code. Choose another model, or another revision of it."
            )
        its_variant = variant if any(_variant_of(name) == variant for name in weights) else None
        of_variant = of_variant or its_variant is not None
        found += sorted(
            name
            for name in inside
            if (
                _variant_of(name) == its_variant
                if name.endswith(".safetensors") or ".safetensors.index." in name
                else Path(name).suffix in BESIDE_WEIGHTS and ".index." not in name
            )
        )
    if variant is not None and not of_variant:
        raise StudyError(
            f"config.yaml: generator.variant is {shown(variant)}, and {repo} has no weights of it; set it to null."
        )
    return found


def _variant_of(name: str) -> str | None:
    """The variant in the name of weights or of their index: model.fp16.safetensors, model.fp16-00001-of-00002.safetensors,
    model-00001-of-00002.fp16.safetensors, model.safetensors.index.fp16.json."""
    found = re.search(
        r"\.safetensors\.index\.(\w+)\.json$|\.([\w-]+?)(?:-\d{5}-of-\d{5})?\.safetensors$", name
    )
    return (found[1] or found[2]) if found else None


def _without_the_hub(wanted: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is wanted, if the cache has it by its commit and whole; None if it does not."""
    try:
        folder = cached_folder(wanted["repo"], wanted["revision"])
        if wanted["kind"] == "model":
            settings = {"width": None, "height": None, "variant": wanted["variant"]}
            if folder_problems(folder, settings):
                return None
            names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
        else:
            entry = {"model": wanted["repo"], "revision": wanted["revision"], "file": wanted["file"]}
            names = [str(file_of(wanted["kind"], entry).relative_to(folder))]
    except (StudyError, OSError):
        return None
    sizes = {name: (folder / name).stat().st_size for name in names}
    return {"repo": wanted["repo"], "revision": wanted["revision"], "commit": folder.name, "files": sizes}


def _download(repo: str, revision: str, commit: str, files: Mapping[str, Any]) -> None:
    """Fetch files into the cache, under one progress bar, and hold each to the digest that the hub has of it."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.utils import tqdm as quiet
    from tqdm import tqdm

    total = sum(file.size or 0 for file in files.values())
    with tqdm(total=total, desc=f"fetch {repo}", unit="B", unit_scale=True, mininterval=2.0) as bar:

        class Counted(quiet):
            """A bar of one file, which is not shown and counts in the one of all."""

            def __init__(self, *arguments: Any, **options: Any):
                super().__init__(*arguments, **{**options, "disable": True})

            def update(self, n: float | None = 1) -> bool | None:
                bar.update(n or 0)
                return None

        for name, file in files.items():
            with hub_sentences(repo, revision):
                path = Path(
                    hf_hub_download(repo, name, revision=commit, etag_timeout=TIMEOUT, tqdm_class=Counted)
                )
            if not _is_whole(path, file):
                for place in {path.resolve(), path}:
                    place.unlink(missing_ok=True)
                raise StudyError(
                    f"{repo}: {printable(name)} did not arrive as the hub has it, and was deleted; run the same command again. "
                    f"If that does not help, what stands between this machine and the hub (a proxy, a virus scanner) changes it."
                )


def _is_whole(path: Path, file: Any) -> bool:
    """Whether a file is what the hub says of it: by its SHA-256, or, if it is a small one, by git's own digest."""
    if file.lfs is not None:
        return sha256_of_file(path) == file.lfs.sha256
    if file.blob_id is None:
        return file.size is None or path.stat().st_size == file.size
    content = path.read_bytes()
    # https://git-scm.com/book/en/v2/Git-Internals-Git-Objects
    return (
        hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest() == file.blob_id
    )


def _remember(repo: str, revision: str, commit: str) -> None:
    """Let the cache know which commit a tag or branch is, as its own programs do."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    if revision != commit:
        path = Path(
            constants.HF_HUB_CACHE, repo_folder_name(repo_id=repo, repo_type="model"), "refs", revision
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(commit, encoding="ascii")


def _check_room(cache: Path, needed: int) -> None:
    """Raise StudyError if so many bytes do not fit on the disk of the cache."""
    there = next(place for place in (cache, *cache.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise StudyError(
            f"{_size(needed)} are to be downloaded, and {_size(free)} are free where the cache lies ({cache}); make room, or set "
            f"HF_HOME to a folder on another disk."
        )


def _size(count: float) -> str:
    return (
        f"{count / 1e9:.1f} GB"
        if count >= 1e9
        else f"{count / 1e6:.1f} MB"
        if count >= 1e5
        else f"{count / 1e3:.1f} kB"
    )


@contextmanager
def hub_sentences(repo: str, revision: str) -> Iterator[None]:
    """Turn whatever the hub, the network or the disk do not do into a StudyError with the way out."""
    try:
        yield
    except StudyError:
        raise
    except Exception as error:
        raise StudyError(_sentence(error, repo, revision)) from None


def _sentence(error: BaseException, repo: str, revision: str) -> str:
    from huggingface_hub import constants, errors

    chain = [error]
    while (cause := chain[-1].__cause__) is not None and cause not in chain:
        chain.append(cause)

    # httpx or its successor, whichever huggingface_hub brings
    kinds_of_network = {kind.__name__ for one in chain for kind in type(one).__mro__}

    def caused(*kinds: type[BaseException]) -> Any:
        return next((one for one in chain if isinstance(one, kinds)), None)

    hub = constants.ENDPOINT
    answer = caused(errors.HfHubHTTPError)
    status = getattr(getattr(answer, "response", None), "status_code", None)
    log_in = "log in on this machine (`hf auth login`, or the variable HF_TOKEN)"
    if caused(errors.OfflineModeIsEnabled):
        return (
            f"{repo} at {revision} is not in the cache of this machine, and HF_HUB_OFFLINE forbids to ask the hub; unset it, or "
            f"fetch it before (`hf download {repo} --revision {revision}`)."
        )
    if caused(errors.GatedRepoError):
        return f"{repo} is gated: accept its terms on {hub}/{repo}, {log_in}, and run the same command again."
    if caused(errors.DisabledRepoError):
        return f"{repo} was disabled on the hub, says {hub}/{repo}; choose another model."
    if caused(errors.RevisionNotFoundError):
        return (
            f"config.yaml: the revision {shown(revision)} is not one of {repo}; its commits are on {hub}/{repo}/commits/main, "
            f"and the whole commit is wanted, of 40 digits."
        )
    if caused(errors.RepositoryNotFoundError) or status == 401:
        return f"config.yaml: there is no {repo} on {hub}, or it is private; look at its spelling, or, if it is private, {log_in}."
    if caused(errors.RemoteEntryNotFoundError):
        return f"{repo} at {revision} lacks a file that it lists; it is broken on the hub, choose another revision."
    if status == 403:
        return f"{hub} does not let you have {repo} (403): the token of this machine may lack the right to read it; {log_in} anew."
    if status == 429:
        wait = answer.response.headers.get("retry-after", "")
        after = f" It says to wait {plain(wait)} seconds." if re.fullmatch(r"\d{1,6}", wait) else ""
        return (
            f"{hub} takes no more requests from here for now (429).{after} Run the same command again later; who is logged in may "
            f"ask more often: {log_in}."
        )
    if status is not None and status >= 500:
        return f"{hub} has a failure of its own ({status}); run the same command again later (https://status.huggingface.co)."
    if status is not None:
        return f"{hub} answers {status} when asked for {repo}: {reason(answer)}."
    if full := caused(OSError):
        if full.errno in (errno.ENOSPC, errno.EDQUOT):
            return (
                f"the disk of the cache is full ({constants.HF_HUB_CACHE}): make room, or set HF_HOME to a folder on another disk, and "
                f"run the same command again; what is there is kept."
            )
        if full.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            return f"the cache cannot be written ({constants.HF_HUB_CACHE}: {os.strerror(full.errno)}); set HF_HOME to a folder of yours."
    text = " ".join(str(one) for one in chain)
    if (
        "Consistency check failed" in text
        or caused(errors.FileMetadataError)
        or ("RemoteProtocolError" in kinds_of_network)
    ):
        return (
            f"{repo}: a file did not arrive whole, or the answer was not the hub's; run the same command again. If that does not "
            f"help, open {hub} in a browser on this machine: a network may want a login first."
        )
    if "ProxyError" in kinds_of_network:
        return f"the proxy of this machine (HTTPS_PROXY) does not let {hub} through: {reason(error)}."
    if "CERTIFICATE" in text.upper():
        return (
            f"{hub} does not show a certificate that is trusted here: a network may want a login first (open it in a browser), or a "
            f"proxy opens what is encrypted (set SSL_CERT_FILE to its certificate)."
        )
    if "TransportError" in kinds_of_network or caused(ConnectionError, TimeoutError):
        return (
            f"{hub} cannot be reached from here ({reason(chain[-1], 100)}). Run this where it can (on a cluster the login node: "
            f"`snakemake --cores 1 --until fetch_model`), or fetch {repo} elsewhere (`hf download {repo} --revision {revision}`) "
            f"and copy its folder into {constants.HF_HUB_CACHE}."
        )
    if caused(JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
        return _not_the_hub()
    return f"{repo} at {revision} cannot be fetched from {hub}: {type(error).__name__}: {reason(error)}."


def _not_the_hub() -> str:
    from huggingface_hub import constants

    return (
        f"what answers for {constants.ENDPOINT} is not the hub: most likely this network wants a login first; open any page in a browser "
        f"on this machine, log in, and run the same command again."
    )
