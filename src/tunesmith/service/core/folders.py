"""Folders beside the records of a store: weights and unfinished trainings."""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Folders", "folder_name", "new_path"]

_UNSAFE = re.compile(r"[^\w.-]+")


class Folders:
    """Folders by kind and id, with readable names.

    Args:
        root: The folder around them.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()  # other processes get paths, and the program may chdir

    def path(self, kind: str, id: str) -> Path:
        """Return the path of a folder, whose parent exists."""
        parent = self._root / kind
        parent.mkdir(parents=True, exist_ok=True)
        return parent / folder_name(id)

    def retain(self, kind: str, ids: Iterable[str]) -> None:
        """Delete all folders of a kind but these."""
        names = set(map(folder_name, ids))
        parent = self._root / kind
        for path in parent.iterdir() if parent.is_dir() else ():
            if path.name not in names:
                shutil.rmtree(path, ignore_errors=True)


def new_path(path: Path) -> Path:
    """Return a path at which nothing is, deleting the folder that may be there."""
    if path.exists():
        shutil.rmtree(path)
    return path


def folder_name(id: str) -> str:
    """Return the name of a folder for an ID."""
    # Names of models contain colons, which are not allowed everywhere.
    return _UNSAFE.sub("--", id)
