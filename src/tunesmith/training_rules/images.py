"""Rules for the parts of a message: text and images.

Source: https://developers.openai.com/api/docs/guides/vision-fine-tuning
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from tunesmith._json_types import is_list, is_object
from tunesmith.training_rules.rules import IMAGE_BYTES, Problem

__all__ = ["count_images", "inspect_parts"]

_FORMATS = {"image/jpeg", "image/png", "image/webp"}
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG", b"RIFF")
_DATA_URL = re.compile(r"data:(?P<type>[\w/+.-]*)(?:;[\w=-]+)*;base64,")
_DETAILS = ("auto", "low", "high", None)


def count_images(messages: object) -> int:
    """Return the number of images in a conversation."""
    contents = [m.get("content") for m in messages if is_object(m)] if is_list(messages) else []
    return sum(
        is_object(part) and part.get("type") == "image_url"
        for content in contents
        if is_list(content)
        for part in content
    )


def inspect_parts(parts: list[Any], role: str, path: str) -> Iterator[Problem]:
    """Find the problems of the parts of a message."""
    for index, part in enumerate(parts):
        place = f"{path}[{index}]"
        match part:
            case {"type": "text", "text": str(text)}:
                if role in ("user", "assistant") and not text.strip():
                    yield Problem("empty-content", f"{place}.text", text)
            case {"type": "refusal", "refusal": str()} if role == "assistant":
                pass
            case {"type": "image_url"}:
                if role != "user":
                    yield Problem("image-not-from-user", place)
                yield from _inspect_image(part.get("image_url"), f"{place}.image_url")
            case _:
                yield Problem("unknown-part", place, part)


def _inspect_image(image: Any, path: str) -> Iterator[Problem]:
    url = image.get("url") if is_object(image) else None
    if not isinstance(url, str) or image.get("detail") not in _DETAILS:
        yield Problem("bad-image", path, image)
        return
    if url[:8].lower().startswith(("https://", "http://")):
        return
    header = _DATA_URL.match(url[:200])
    if not header:
        yield Problem("bad-image", f"{path}.url", url)
    elif header["type"] not in _FORMATS or not _has_image_header(url, header.end()):
        yield Problem("image-format", f"{path}.url", url)
    elif (len(url) - header.end()) * 3 // 4 > IMAGE_BYTES:
        yield Problem("image-too-large", f"{path}.url", url)


def _has_image_header(url: str, start: int) -> bool:
    try:
        head = base64.b64decode(url[start : start + 16], validate=True)
    except binascii.Error:
        return False
    return head.startswith(_MAGIC)
