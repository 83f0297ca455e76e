"""What comes back from the service: one file a noun."""

from typing import TYPE_CHECKING

from tunesmith.lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.types.base import (
        Answer,
        APIModel,
        DeletedAnswer,
        Metadata,
        Page,
    )
    from tunesmith.types.batch_lines import (
        BatchLineError,
        BatchLineResponse,
        BatchRequestLine,
        BatchResponseLine,
    )
    from tunesmith.types.batches import (
        Batch,
        BatchError,
        BatchErrors,
        BatchRequestCounts,
        BatchUsage,
    )
    from tunesmith.types.errors import (
        ErrorObject,
    )
    from tunesmith.types.files import (
        FileDeleted,
        FileObject,
    )
    from tunesmith.types.fine_tunes import (
        FineTune,
        FineTuneEvent,
        FineTuneHyperparams,
    )
    from tunesmith.types.fine_tuning import (
        CheckpointMetrics,
        CheckpointPermission,
        CheckpointPermissionDeleted,
        DpoMethod,
        FineTuneMethod,
        FineTuningHyperparameters,
        FineTuningJob,
        FineTuningJobCheckpoint,
        FineTuningJobError,
        FineTuningJobEvent,
        FineTuningJobWandbIntegration,
        FineTuningJobWandbIntegrationObject,
        ReinforcementMethod,
        SupervisedMethod,
    )
    from tunesmith.types.graders import (
        RunGraderMetadata,
        RunGraderResponse,
        ValidateGraderResponse,
    )
    from tunesmith.types.models import (
        Model,
        ModelDeleted,
    )
    from tunesmith.types.results import (
        JobResults,
        StepMetrics,
    )
    from tunesmith.types.training_lines import (
        ChatExample,
        CompletionExample,
        PreferenceExample,
        PreferenceInput,
        ReinforcementExample,
        TrainingMessage,
    )
    from tunesmith.types.uploads import (
        Upload,
        UploadPart,
    )

__all__ = [
    "APIModel",
    "Answer",
    "Batch",
    "BatchError",
    "BatchErrors",
    "BatchLineError",
    "BatchLineResponse",
    "BatchRequestCounts",
    "BatchRequestLine",
    "BatchResponseLine",
    "BatchUsage",
    "ChatExample",
    "CheckpointMetrics",
    "CheckpointPermission",
    "CheckpointPermissionDeleted",
    "CompletionExample",
    "DeletedAnswer",
    "DpoMethod",
    "ErrorObject",
    "FileDeleted",
    "FileObject",
    "FineTune",
    "FineTuneEvent",
    "FineTuneHyperparams",
    "FineTuneMethod",
    "FineTuningHyperparameters",
    "FineTuningJob",
    "FineTuningJobCheckpoint",
    "FineTuningJobError",
    "FineTuningJobEvent",
    "FineTuningJobWandbIntegration",
    "FineTuningJobWandbIntegrationObject",
    "JobResults",
    "Metadata",
    "Model",
    "ModelDeleted",
    "Page",
    "PreferenceExample",
    "PreferenceInput",
    "ReinforcementExample",
    "ReinforcementMethod",
    "RunGraderMetadata",
    "RunGraderResponse",
    "StepMetrics",
    "SupervisedMethod",
    "TrainingMessage",
    "Upload",
    "UploadPart",
    "ValidateGraderResponse",
]

_MODULES = {
    "APIModel": ".base",
    "Answer": ".base",
    "DeletedAnswer": ".base",
    "Metadata": ".base",
    "Page": ".base",
    "BatchLineError": ".batch_lines",
    "BatchLineResponse": ".batch_lines",
    "BatchRequestLine": ".batch_lines",
    "BatchResponseLine": ".batch_lines",
    "Batch": ".batches",
    "BatchError": ".batches",
    "BatchErrors": ".batches",
    "BatchRequestCounts": ".batches",
    "BatchUsage": ".batches",
    "ErrorObject": ".errors",
    "FileDeleted": ".files",
    "FileObject": ".files",
    "FineTune": ".fine_tunes",
    "FineTuneEvent": ".fine_tunes",
    "FineTuneHyperparams": ".fine_tunes",
    "CheckpointMetrics": ".fine_tuning",
    "CheckpointPermission": ".fine_tuning",
    "CheckpointPermissionDeleted": ".fine_tuning",
    "DpoMethod": ".fine_tuning",
    "FineTuneMethod": ".fine_tuning",
    "FineTuningHyperparameters": ".fine_tuning",
    "FineTuningJob": ".fine_tuning",
    "FineTuningJobCheckpoint": ".fine_tuning",
    "FineTuningJobError": ".fine_tuning",
    "FineTuningJobEvent": ".fine_tuning",
    "FineTuningJobWandbIntegration": ".fine_tuning",
    "FineTuningJobWandbIntegrationObject": ".fine_tuning",
    "ReinforcementMethod": ".fine_tuning",
    "SupervisedMethod": ".fine_tuning",
    "RunGraderMetadata": ".graders",
    "RunGraderResponse": ".graders",
    "ValidateGraderResponse": ".graders",
    "Model": ".models",
    "ModelDeleted": ".models",
    "JobResults": ".results",
    "StepMetrics": ".results",
    "ChatExample": ".training_lines",
    "CompletionExample": ".training_lines",
    "PreferenceExample": ".training_lines",
    "PreferenceInput": ".training_lines",
    "ReinforcementExample": ".training_lines",
    "TrainingMessage": ".training_lines",
    "Upload": ".uploads",
    "UploadPart": ".uploads",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__
