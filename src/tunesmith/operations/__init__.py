"""What can be asked of the service: one file a noun, one class an operation."""

import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from tunesmith.lazy import lazy_names

if TYPE_CHECKING:
    from tunesmith.operations.base import (
        Operation,
        Spec,
        StreamOperation,
    )
    from tunesmith.operations.batches import (
        CancelBatch,
        CreateBatch,
        ListBatches,
        RetrieveBatch,
    )
    from tunesmith.operations.completions import (
        CreateCompletion,
        Prompt,
    )
    from tunesmith.operations.files import (
        CreateFile,
        DeleteFile,
        DownloadFile,
        ExpiresAfterParam,
        FileContentInput,
        FileInput,
        ListFiles,
        RetrieveFile,
    )
    from tunesmith.operations.fine_tunes import (
        CancelFineTune,
        CreateFineTune,
        FineTuneHyperparametersParam,
        ListFineTuneEvents,
        ListFineTunes,
        RetrieveFineTune,
    )
    from tunesmith.operations.fine_tuning import (
        CancelFineTuningJob,
        CreateCheckpointPermissions,
        CreateFineTuningJob,
        DeleteCheckpointPermission,
        ListCheckpointPermissions,
        ListFineTuningJobCheckpoints,
        ListFineTuningJobEvents,
        ListFineTuningJobs,
        PauseFineTuningJob,
        ResumeFineTuningJob,
        RetrieveFineTuningJob,
    )
    from tunesmith.operations.fine_tuning_methods import (
        DpoHyperparametersParam,
        DpoMethodParam,
        FineTuneMethodParam,
        ReinforcementHyperparametersParam,
        ReinforcementMethodParam,
        SupervisedHyperparametersParam,
        SupervisedMethodParam,
        WandbIntegrationParam,
        WandbParam,
    )
    from tunesmith.operations.graders import (
        GraderInputParam,
        GraderParam,
        GraderSamplingParams,
        LabelModelGraderParam,
        MultiGraderParam,
        PythonGraderParam,
        RunGrader,
        ScoreModelGraderParam,
        SingleGraderParam,
        StringCheckGraderParam,
        TextSimilarityGraderParam,
        ValidateGrader,
    )
    from tunesmith.operations.metadata import (
        MetadataParam,
    )
    from tunesmith.operations.models import (
        DeleteModel,
        ListModels,
        RetrieveModel,
    )
    from tunesmith.operations.uploads import (
        CancelUpload,
        CompleteUpload,
        CreateUpload,
        CreateUploadPart,
    )

__all__ = [
    "CancelBatch",
    "CancelFineTune",
    "CancelFineTuningJob",
    "CancelUpload",
    "CompleteUpload",
    "CreateBatch",
    "CreateCheckpointPermissions",
    "CreateCompletion",
    "CreateFile",
    "CreateFineTune",
    "CreateFineTuningJob",
    "CreateUpload",
    "CreateUploadPart",
    "DeleteCheckpointPermission",
    "DeleteFile",
    "DeleteModel",
    "DownloadFile",
    "DpoHyperparametersParam",
    "DpoMethodParam",
    "ExpiresAfterParam",
    "FileContentInput",
    "FileInput",
    "FineTuneHyperparametersParam",
    "FineTuneMethodParam",
    "GraderInputParam",
    "GraderParam",
    "GraderSamplingParams",
    "LabelModelGraderParam",
    "ListBatches",
    "ListCheckpointPermissions",
    "ListFiles",
    "ListFineTuneEvents",
    "ListFineTunes",
    "ListFineTuningJobCheckpoints",
    "ListFineTuningJobEvents",
    "ListFineTuningJobs",
    "ListModels",
    "MetadataParam",
    "MultiGraderParam",
    "Operation",
    "PauseFineTuningJob",
    "Prompt",
    "PythonGraderParam",
    "ReinforcementHyperparametersParam",
    "ReinforcementMethodParam",
    "ResumeFineTuningJob",
    "RetrieveBatch",
    "RetrieveFile",
    "RetrieveFineTune",
    "RetrieveFineTuningJob",
    "RetrieveModel",
    "RunGrader",
    "ScoreModelGraderParam",
    "SingleGraderParam",
    "Spec",
    "StreamOperation",
    "StringCheckGraderParam",
    "SupervisedHyperparametersParam",
    "SupervisedMethodParam",
    "TextSimilarityGraderParam",
    "ValidateGrader",
    "WandbIntegrationParam",
    "WandbParam",
    "all_operations",
]

_MODULES = {
    "Operation": ".base",
    "Spec": ".base",
    "StreamOperation": ".base",
    "CancelBatch": ".batches",
    "CreateBatch": ".batches",
    "ListBatches": ".batches",
    "RetrieveBatch": ".batches",
    "CreateCompletion": ".completions",
    "Prompt": ".completions",
    "CreateFile": ".files",
    "DeleteFile": ".files",
    "DownloadFile": ".files",
    "ExpiresAfterParam": ".files",
    "FileContentInput": ".files",
    "FileInput": ".files",
    "ListFiles": ".files",
    "RetrieveFile": ".files",
    "CancelFineTune": ".fine_tunes",
    "CreateFineTune": ".fine_tunes",
    "FineTuneHyperparametersParam": ".fine_tunes",
    "ListFineTuneEvents": ".fine_tunes",
    "ListFineTunes": ".fine_tunes",
    "RetrieveFineTune": ".fine_tunes",
    "CancelFineTuningJob": ".fine_tuning",
    "CreateCheckpointPermissions": ".fine_tuning",
    "CreateFineTuningJob": ".fine_tuning",
    "DeleteCheckpointPermission": ".fine_tuning",
    "ListCheckpointPermissions": ".fine_tuning",
    "ListFineTuningJobCheckpoints": ".fine_tuning",
    "ListFineTuningJobEvents": ".fine_tuning",
    "ListFineTuningJobs": ".fine_tuning",
    "PauseFineTuningJob": ".fine_tuning",
    "ResumeFineTuningJob": ".fine_tuning",
    "RetrieveFineTuningJob": ".fine_tuning",
    "DpoHyperparametersParam": ".fine_tuning_methods",
    "DpoMethodParam": ".fine_tuning_methods",
    "FineTuneMethodParam": ".fine_tuning_methods",
    "ReinforcementHyperparametersParam": ".fine_tuning_methods",
    "ReinforcementMethodParam": ".fine_tuning_methods",
    "SupervisedHyperparametersParam": ".fine_tuning_methods",
    "SupervisedMethodParam": ".fine_tuning_methods",
    "WandbIntegrationParam": ".fine_tuning_methods",
    "WandbParam": ".fine_tuning_methods",
    "GraderInputParam": ".graders",
    "GraderParam": ".graders",
    "GraderSamplingParams": ".graders",
    "LabelModelGraderParam": ".graders",
    "MultiGraderParam": ".graders",
    "PythonGraderParam": ".graders",
    "RunGrader": ".graders",
    "ScoreModelGraderParam": ".graders",
    "SingleGraderParam": ".graders",
    "StringCheckGraderParam": ".graders",
    "TextSimilarityGraderParam": ".graders",
    "ValidateGrader": ".graders",
    "MetadataParam": ".metadata",
    "DeleteModel": ".models",
    "ListModels": ".models",
    "RetrieveModel": ".models",
    "CancelUpload": ".uploads",
    "CompleteUpload": ".uploads",
    "CreateUpload": ".uploads",
    "CreateUploadPart": ".uploads",
}

__getattr__ = lazy_names(__name__, _MODULES)


def __dir__() -> list[str]:
    return __all__


@cache
def all_operations() -> "tuple[type[Operation[Any]], ...]":
    """Every operation of the API: what the service routes by and the reference lists.

    Example:
        ```python
        from tunesmith.operations import all_operations

        for operation in all_operations():
            print(operation.spec.name, operation.spec.method, operation.spec.path)
        ```
    """
    package = sys.modules[__name__]
    found = [getattr(package, name) for name in _MODULES]
    return tuple(each for each in found if "spec" in getattr(each, "__dict__", {}))
