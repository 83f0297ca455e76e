"""Engines, which train and generate, and the interface to write one."""

from tunesmith.service.engines.base import (
    Engine,
    EngineError,
    EngineFailureError,
    EngineModel,
    ModelInfo,
    Tokenizer,
)
from tunesmith.service.engines.generation import (
    FinishReason,
    Generation,
    GenerationSpec,
    ScoredToken,
    TokenLogprob,
    ToolCallDelta,
    ToolCallSpec,
)
from tunesmith.service.engines.training import (
    Dataset,
    Hyperparameters,
    InvalidExampleError,
    Metrics,
    Progress,
    Row,
    TrainingRun,
    TrainingSpec,
    TrainingStep,
)
from tunesmith.training_rules import Format

__all__ = [
    "Dataset",
    "Engine",
    "EngineError",
    "EngineFailureError",
    "EngineModel",
    "FinishReason",
    "Format",
    "Generation",
    "GenerationSpec",
    "Hyperparameters",
    "InvalidExampleError",
    "Metrics",
    "ModelInfo",
    "Progress",
    "Row",
    "ScoredToken",
    "TokenLogprob",
    "Tokenizer",
    "ToolCallDelta",
    "ToolCallSpec",
    "TrainingRun",
    "TrainingSpec",
    "TrainingStep",
]
