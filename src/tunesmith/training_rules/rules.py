"""The rules, with their wording and their sources."""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

__all__ = [
    "FORMATS",
    "IMAGES_PER_EXAMPLE",
    "IMAGE_BYTES",
    "MAX_FILE_BYTES",
    "MAX_IMAGE_EXAMPLES",
    "MAX_UPLOAD_BYTES",
    "MIN_EXAMPLES",
    "ROLES",
    "RULES",
    "Format",
    "Problem",
    "Rule",
]

Format = Literal["completions", "chat", "dpo", "reinforcement"]
"""Format of a training file: prompts and completions, conversations, preference pairs, or items
for a grader."""

FORMATS: tuple[Format, ...] = get_args(Format)
"""Every format."""

MIN_EXAMPLES = 10
"""Smallest number of examples in a training file (`invalid_n_examples`)."""

MAX_IMAGE_EXAMPLES = 50_000
"""Largest number of examples with images in a file."""

MAX_UPLOAD_BYTES = 512_000_000
"""Largest file that is uploaded in one request; larger ones are uploaded in parts."""

MAX_FILE_BYTES = 8_000_000_000
"""Largest file that can be uploaded in parts."""

IMAGES_PER_EXAMPLE = 10
IMAGE_BYTES = 10_000_000
ROLES = ("system", "developer", "user", "assistant", "tool", "function")

_DOCUMENT = "https://github.com/openai/openai-openapi"
_GUIDE = "https://developers.openai.com/api/docs/guides"
_SUPERVISED = f"{_GUIDE}/supervised-fine-tuning"
_VISION = f"{_GUIDE}/vision-fine-tuning"
_DPO = f"{_GUIDE}/direct-preference-optimization"
_REINFORCEMENT = f"{_GUIDE}/reinforcement-fine-tuning"
_CALLING = f"{_GUIDE}/function-calling"
_RECORDED = "recorded error"
_UNKNOWN = "unknown"


class Problem(NamedTuple):
    """Violation of a rule in one line.

    Attributes:
        code: The rule.
        path: The place in the line, such as `messages[2].content`.
        value: The value there.
        parent: The object that has an unknown key.
    """

    code: str
    path: str
    value: object = None
    parent: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Condition that every line of a training file must meet.

    Attributes:
        message: What is wrong with a line that breaks the rule.
        source: Where the rule comes from: a page, `recorded error`, or `unknown` if the behaviour
            of the real service is not known.
        formats: The formats that the rule applies to.
    """

    message: str
    source: str
    formats: tuple[Format, ...] = ("chat", "dpo", "reinforcement")


RULES = {
    "missing-key": Rule("a required key is missing.", _RECORDED, FORMATS),
    "not-text": Rule("the value must be text.", _DOCUMENT, ("completions",)),
    "empty-completions": Rule("the completion is empty.", _UNKNOWN, ("completions",)),
    "unknown-key": Rule("a key is not accepted by the service.", _RECORDED, FORMATS),
    "no-messages": Rule("`messages` must be a list of at least one message.", _DOCUMENT),
    "bad-message": Rule("a message is not an object.", _DOCUMENT),
    "missing-role": Rule("a message has no `role`.", _RECORDED),
    "unknown-role": Rule(f"a message's role is not one of {', '.join(ROLES)}.", _RECORDED),
    "bad-content": Rule("a message's content is neither text nor a list of parts.", _DOCUMENT),
    "empty-content": Rule("a message of the user or the assistant has no content.", _UNKNOWN),
    "bad-weight": Rule("`weight` must be 0 or 1.", _SUPERVISED, ("chat", "dpo")),
    "last-not-assistant": Rule(
        "the last message must be from the assistant.", _SUPERVISED, ("chat",)
    ),
    "nothing-to-learn": Rule("every message of the assistant has weight 0.", _UNKNOWN, ("chat",)),
    "bad-input": Rule("`input` must be an object with `messages`.", _DPO, ("dpo",)),
    "input-ends-with-assistant": Rule(
        "the last message of the input must not be from the assistant.", _DPO, ("dpo",)
    ),
    "bad-output": Rule("an output must be one message of the assistant.", _DPO, ("dpo",)),
    "image-in-pair": Rule("preference pairs must be text, without images.", _DPO, ("dpo",)),
    "last-not-user": Rule(
        "the last message must be from the user; the right answer belongs in a key of its own.",
        _REINFORCEMENT,
        ("reinforcement",),
    ),
    "bad-tool": Rule(
        "a tool must be a function with a name of at most 64 letters, digits, `_` or `-`, and "
        "`parameters` that are an object.",
        _DOCUMENT,
    ),
    "bad-tool-call": Rule(
        "a tool call must have an `id`, the type `function` and a `name`.", _DOCUMENT
    ),
    "bad-arguments": Rule("the arguments of a tool call must be JSON text.", _CALLING),
    "unknown-tool": Rule("a tool call names a tool that is not in `tools`.", _UNKNOWN),
    "unanswered-tool-call": Rule("a tool call has no answer before the next message.", _CALLING),
    "stray-tool-message": Rule("a tool message has no call with its `tool_call_id`.", _CALLING),
    "unknown-part": Rule("a part of a message is neither `text` nor `image_url`.", _SUPERVISED),
    "bad-image": Rule("an image must be an http(s) URL or a base64 data URL.", _VISION),
    "image-format": Rule("an image must be JPEG, PNG or WEBP.", _VISION),
    "image-too-large": Rule(f"an image is larger than {IMAGE_BYTES // 1_000_000} MB.", _VISION),
    "image-not-from-user": Rule("an image is in a message that is not from the user.", _VISION),
    "too-many-images": Rule(f"there are more than {IMAGES_PER_EXAMPLE} images.", _VISION),
}
"""Every rule by its code, in the order in which findings are listed."""
