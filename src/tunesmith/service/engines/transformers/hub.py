"""Models of the Hugging Face hub, downloaded to its cache by a process of its own.

    python -m tunesmith.service.engines.transformers.hub ORG/NAME [REVISION]

The process writes the folder, or the reason of a failure, to standard output. It ends when its
standard input is closed, and with it the threads and the memory of the download.
"""

import os
import re
import signal
import sys
import threading
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any
from urllib.parse import urlsplit

from tunesmith._extras import import_extra
from tunesmith.errors import ConfigurationError
from tunesmith.service.engines.base import EngineError

__all__ = ["DownloadError", "check_hub_commit", "find_hub_commit", "resolve_model"]

_COMMAND = (sys.executable, "-m", "tunesmith.service.engines.transformers.hub")
_HUB_ID = re.compile(r"(\w[\w.-]*/\w[\w.-]*)(?:@(.+))?", re.ASCII)
_FILES = ("*.safetensors", "*.json", "*.jinja")
_OTHER_FILES = ("*/*", "adapter_*", "consolidated*")
"""Other formats in folders, adapters, and the same weights in another layout."""

_MESSAGES = {
    "HFValidationError": (
        "{name} is neither a folder nor a valid id of a model on the hub: {reason}"
    ),
    "GatedRepoError": (
        "{name} is gated; accept its licence at {host}/{name}, and set HF_TOKEN to a token of "
        "your account"
    ),
    "RepositoryNotFoundError": (
        "{name} is neither a folder nor a model on {host}, unless it is private; check the "
        "spelling, or set HF_TOKEN to a token that can read it"
    ),
    "RevisionNotFoundError": (
        "{name} has no revision {revision!r} on {host}; name a branch, a tag or a commit"
    ),
    "OfflineModeIsEnabled": (
        "{name} is not in the cache {cache}, and HF_HUB_OFFLINE forbids to download it; unset it, "
        "or set HF_HOME to the folder of another cache"
    ),
    "HfHubHTTPError": (
        "{host} did not send {name}: {reason}; check HF_TOKEN if it is set, or try again later"
    ),
    "LocalEntryNotFoundError": (
        "{name} is not in the cache {cache}, and {host} cannot be reached: {reason}; check the "
        "network, set HF_ENDPOINT to a mirror, or give the folder of a model"
    ),
    "OSError": (
        "{name} cannot be stored in the cache {cache}: {reason}; free some space, or set HF_HOME "
        "to another folder"
    ),
    "Exception": "the download of {name} failed: {reason}; try again: complete files are kept",
}
"""Messages by the library's errors, the most specific first."""


class DownloadError(EngineError):
    """Model that cannot be downloaded."""


def resolve_model(source: str | Path) -> Path:
    """Return the folder of a model, after downloading it if it is on the Hugging Face hub.

    The environment variables of `huggingface_hub` apply, such as `HF_HOME`, `HF_HUB_OFFLINE`,
    `HF_TOKEN` and `HF_ENDPOINT`. Progress is shown if standard error is a terminal.

    Args:
        source: Folder; or, as text, the id of a model on the hub: `ORG/NAME`, or
            `ORG/NAME@REVISION` for a branch, a tag or a commit. An existing folder is preferred.

    Raises:
        EngineError: There is no such folder.
        DownloadError: The model cannot be downloaded.
    """
    folder = Path(source).expanduser()
    if folder.exists():
        return folder
    hub_id = _HUB_ID.fullmatch(source) if isinstance(source, str) else None
    if hub_id is None:
        raise EngineError(
            f"folder {folder.absolute()} does not exist; give the folder of a Hugging Face model, "
            "or the id of one on the hub: ORG/NAME or ORG/NAME@REVISION"
        )
    command = [*_COMMAND, *filter(None, hub_id.groups())]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True, encoding="utf-8") as process:  # noqa: S603 - no shell
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        output = process.stdout.read().strip()
    if process.returncode:
        raise DownloadError(output or f"the download of {source} died ({process.returncode})")
    return Path(output)


def find_hub_commit(folder: Path) -> tuple[str, str] | None:
    """Return the id and the commit of a model in the hub's cache; None for other folders."""
    kind, *names = folder.parent.parent.name.split("--")
    if kind != "models" or len(names) != 2 or folder.parent.name != "snapshots":  # noqa: PLR2004 - ORG and NAME
        return None
    return "/".join(names), folder.name


def check_hub_commit(folder: Path, expected: tuple[str, str] | None) -> None:
    """Check that a base model is the commit from which weights were trained.

    Args:
        folder: Folder of the base model.
        expected: Id and commit of the other base model; None if it was not on the hub.

    Raises:
        EngineError: It is another commit.
    """
    actual = find_hub_commit(folder)
    if actual and expected and actual != expected:
        name = "@".join(expected)
        raise EngineError(
            f"the weights were trained from {name}, but the base model is {'@'.join(actual)}; "
            f"serve that commit: --model NAME={name}"
        )


def _download(name: str, revision: str | None = None) -> str:
    """Download the files of a model that are needed; return their folder.

    Raises:
        EngineError: The model cannot be downloaded.
    """
    try:
        library = import_extra("huggingface_hub", "train", "Models of the Hugging Face hub")
    except ConfigurationError as error:
        raise EngineError(str(error)) from error
    settings = {
        "revision": revision,
        "allow_patterns": _FILES,
        "ignore_patterns": _OTHER_FILES,
    }
    folder: str
    try:
        try:
            # Without its list of files, a folder that was downloaded in part would pass for whole.
            library.get_cached_repo_tree(name, revision=revision)
            # A branch is not looked up again, since tuned models need the commit that they are of.
            folder = library.snapshot_download(name, local_files_only=True, **settings)
        except (
            library.errors.CachedRepoTreeNotFoundError,
            library.errors.LocalEntryNotFoundError,
        ):
            folder = library.snapshot_download(name, **settings)
    except Exception as error:
        token: str | None = library.get_token()
        message = _describe(error, library.constants, name, revision)
        raise EngineError(message.replace(token, "…") if token else message) from error
    if not any(Path(folder).glob("*.safetensors")):
        raise EngineError(
            f"{name} has no .safetensors files, and pickles are never loaded; choose a model with "
            "safetensors, or convert this one and give its folder"
        )
    return folder


def _describe(error: BaseException, constants: Any, name: str, revision: str | None) -> str:
    """Return what is wrong and how to fix it."""
    cause = error.__cause__ or error
    reason = getattr(error, "server_message", None) or getattr(cause, "server_message", None)
    kinds = {kind.__name__ for kind in (*type(error).__mro__, *type(cause).__mro__)}
    return next(text for kind, text in _MESSAGES.items() if kind in kinds).format(
        name=name,
        revision=revision,
        host=urlsplit(str(constants.ENDPOINT)).netloc.rpartition("@")[2],
        cache=constants.HF_HUB_CACHE,
        reason=str(reason or cause).strip().partition("\n")[0] or type(cause).__name__,
    )


def _end_with_parent(name: str) -> None:
    sys.stdin.read()
    with suppress(ImportError, OSError):
        _delete_partial_files(name)
    os._exit(1)


def _delete_partial_files(name: str) -> None:
    """Delete the files that this process is writing: no later download continues them."""
    constants = import_module("huggingface_hub.constants")
    written: set[int] = set()
    for descriptor in Path("/dev/fd").iterdir():
        with suppress(OSError):  # it was closed meanwhile
            written.add(descriptor.stat().st_ino)
    blobs = Path(constants.HF_HUB_CACHE, f"models--{name.replace('/', '--')}", "blobs")
    for path in blobs.glob("*.incomplete"):
        if path.stat().st_ino in written:
            path.unlink()


def _main(name: str, revision: str | None = None) -> int:
    # At Ctrl-C the service closes the pipe; the library would first finish all files in progress.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(name,), daemon=True).start()
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    try:
        output, code = _download(name, revision), 0
    except EngineError as error:
        output, code = str(error), 1
    sys.stdout.buffer.write(output.encode())
    return code


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
