"""Parts of messages: text and images, and what the service takes of them.

Source: https://developers.openai.com/api/docs/guides/vision-fine-tuning
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any

from tunesmith.datasets.checks.row_rules import Problem, Rule
from tunesmith.datasets.json_types import is_list, is_object

__all__ = ["IMAGES_PER_EXAMPLE", "IMAGE_RULES", "count_images", "inspect_parts"]

IMAGES_PER_EXAMPLE = 10
IMAGE_BYTES = 10_000_000
_FORMATS = {"image/jpeg", "image/png", "image/webp"}
_DATA_URL = re.compile(r"data:(?P<type>[\w/+.-]*)(?:;[\w=-]+)*;base64,")
_DETAILS = ("auto", "low", "high", None)

IMAGE_RULES = {
    "unknown-part": Rule("a part of a message is neither `text` nor `image_url`."),
    "bad-image": Rule("an image is to be an http(s) URL or a base64 data URL."),
    "image-format": Rule("an image is not JPEG, PNG or WEBP."),
    "image-too-large": Rule(f"an image is larger than {IMAGE_BYTES // 1_000_000} MB."),
    "image-not-from-user": Rule("an image is in a message that is not the user's."),
    "too-many-images": Rule(f"there are more than {IMAGES_PER_EXAMPLE} images."),
}


def count_images(messages: Any) -> int:
    """How many images there are in a conversation."""
    if not is_list(messages):
        return 0
    contents = [m.get("content") for m in messages if is_object(m)]
    return sum(
        is_object(part) and part.get("type") == "image_url"
        for content in contents
        if is_list(content)
        for part in content
    )


def inspect_parts(parts: list[Any], role: str, path: str) -> Iterator[Problem]:
    """Find what is wrong with the parts of a message."""
    for index, part in enumerate(parts):
        where = f"{path}[{index}]"
        match part:
            case {"type": "text", "text": str(text)}:
                if not text.strip():
                    yield Problem("empty-content", f"{where}.text", text)
            case {"type": "refusal", "refusal": str()} if role == "assistant":
                pass
            case {"type": "image_url"}:
                if role != "user":
                    yield Problem("image-not-from-user", where)
                yield from _inspect_image(part.get("image_url"), f"{where}.image_url")
            case _:
                yield Problem("unknown-part", where, part)


def _inspect_image(image: Any, where: str) -> Iterator[Problem]:
    url = image.get("url") if is_object(image) else None
    if not isinstance(url, str) or image.get("detail") not in _DETAILS:
        yield Problem("bad-image", where, image)
        return
    if url.startswith(("https://", "http://")):
        return
    header = _DATA_URL.match(url[:200])
    if not header:
        yield Problem("bad-image", f"{where}.url", url)
    elif header["type"] not in _FORMATS or not _is_picture(url, header.end()):
        yield Problem("image-format", f"{where}.url", url)
    elif (len(url) - header.end()) * 3 // 4 > IMAGE_BYTES:
        yield Problem("image-too-large", f"{where}.url", url)


def _is_picture(url: str, start: int) -> bool:
    """Whether the data begins as files of the three formats do."""
    try:
        head = base64.b64decode(url[start : start + 16], validate=True)
    except binascii.Error:
        return False
    return head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"RIFF"))
