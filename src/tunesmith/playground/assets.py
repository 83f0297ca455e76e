"""Files of the page, compressed, with the headers that guard them."""

import gzip
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files

from tunesmith.protocol.message import Response

__all__ = ["find_asset"]

_TYPES = {
    "css": "text/css; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}

# Nothing is loaded from elsewhere, no inline script runs, and no text becomes markup.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": _POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "vary": "accept-encoding",
    "x-content-type-options": "nosniff",
}

_NOT_MODIFIED = 304


def find_asset(path: str, headers: Mapping[str, str]) -> Response | None:
    """Return a file of the page; None if it does not exist.

    Args:
        path: Path below the folder of the files, such as `app.js`.
        headers: Headers of the request, with lower-case names.
    """
    assets = _load_assets()
    if path not in assets:
        return None
    content, compressed, etag = assets[path]
    answer = {
        **_HEADERS,
        "content-type": _TYPES[path.rpartition(".")[2]],
        "etag": etag,
    }
    if headers.get("if-none-match") == etag:
        return Response.from_bytes(_NOT_MODIFIED, answer, b"")
    if "gzip" in headers.get("accept-encoding", ""):
        content, answer["content-encoding"] = compressed, "gzip"
    return Response.from_bytes(200, {**answer, "content-length": str(len(content))}, content)


@cache
def _load_assets() -> Mapping[str, tuple[bytes, bytes, str]]:
    """Read all files once: by path, the content, its compressed form and its tag."""
    folder = files("tunesmith.playground") / "static"
    assets: dict[str, tuple[bytes, bytes, str]] = {}
    for prefix, entries in (("", folder), ("vendor/", folder / "vendor")):
        for entry in entries.iterdir():
            if entry.is_file() and entry.name.rpartition(".")[2] in _TYPES:
                content = entry.read_bytes()
                etag = f'"{sha256(content).hexdigest()[:32]}"'
                assets[prefix + entry.name] = (content, gzip.compress(content, mtime=0), etag)
    return assets
