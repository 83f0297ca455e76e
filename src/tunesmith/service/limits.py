"""How much may be asked: requests and tokens a minute for each model, and a quota in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from tunesmith.backends.base import Clock
from tunesmith.operations.base import Operation
from tunesmith.operations.chat import CreateChatCompletion
from tunesmith.operations.completions import CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding
from tunesmith.operations.fine_tunes import CreateFineTune
from tunesmith.operations.fine_tuning import CreateFineTuningJob
from tunesmith.operations.moderations import CreateModeration
from tunesmith.service.conversation import prompt_of
from tunesmith.service.engines.base import Engine
from tunesmith.service.errors import ServiceError

__all__ = ["Limiter", "Limits"]

_MINUTE_S = 60.0
_DEFAULT_MAX_TOKENS = 16

Unit = Literal["requests", "tokens"]
