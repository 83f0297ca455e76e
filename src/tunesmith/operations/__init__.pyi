from tunesmith.operations.base import (
    Operation as Operation,
)
from tunesmith.operations.base import (
    OperationSpec as OperationSpec,
)
from tunesmith.operations.base import (
    StreamOperation as StreamOperation,
)
from tunesmith.operations.batches import (
    CancelBatch as CancelBatch,
)
from tunesmith.operations.batches import (
    CreateBatch as CreateBatch,
)
from tunesmith.operations.batches import (
    ListBatches as ListBatches,
)
from tunesmith.operations.batches import (
    RetrieveBatch as RetrieveBatch,
)
from tunesmith.operations.chat import (
    CreateChatCompletion as CreateChatCompletion,
)
from tunesmith.operations.chat import (
    DeleteChatCompletion as DeleteChatCompletion,
)
from tunesmith.operations.chat import (
    ListChatCompletionMessages as ListChatCompletionMessages,
)
from tunesmith.operations.chat import (
    ListChatCompletions as ListChatCompletions,
)
from tunesmith.operations.chat import (
    RetrieveChatCompletion as RetrieveChatCompletion,
)
from tunesmith.operations.chat import (
    UpdateChatCompletion as UpdateChatCompletion,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionAssistantMessageParam as ChatCompletionAssistantMessageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionContentPartImageParam as ChatCompletionContentPartImageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionContentPartInputAudioParam as ChatCompletionContentPartInputAudioParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionContentPartParam as ChatCompletionContentPartParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionContentPartRefusalParam as ChatCompletionContentPartRefusalParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionContentPartTextParam as ChatCompletionContentPartTextParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionDeveloperMessageParam as ChatCompletionDeveloperMessageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionFilePartParam as ChatCompletionFilePartParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionFunctionMessageParam as ChatCompletionFunctionMessageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionMessageCustomToolCallParam as ChatCompletionMessageCustomToolCallParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionMessageFunctionToolCallParam as ChatCompletionMessageFunctionToolCallParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionMessageParam as ChatCompletionMessageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionMessageToolCallParam as ChatCompletionMessageToolCallParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionSystemMessageParam as ChatCompletionSystemMessageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionToolMessageParam as ChatCompletionToolMessageParam,
)
from tunesmith.operations.chat_messages import (
    ChatCompletionUserMessageParam as ChatCompletionUserMessageParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionAllowedToolChoiceParam as ChatCompletionAllowedToolChoiceParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionAudioParam as ChatCompletionAudioParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionCustomToolParam as ChatCompletionCustomToolParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionFunctionCallOptionParam as ChatCompletionFunctionCallOptionParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionFunctionToolParam as ChatCompletionFunctionToolParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionNamedToolChoiceCustomParam as ChatCompletionNamedToolChoiceCustomParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionNamedToolChoiceParam as ChatCompletionNamedToolChoiceParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionPredictionContentParam as ChatCompletionPredictionContentParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionStreamOptionsParam as ChatCompletionStreamOptionsParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionToolChoiceOptionParam as ChatCompletionToolChoiceOptionParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionToolParam as ChatCompletionToolParam,
)
from tunesmith.operations.completions import CreateCompletion as CreateCompletion
from tunesmith.operations.embeddings import CreateEmbedding as CreateEmbedding
from tunesmith.operations.files import (
    CreateFile as CreateFile,
)
from tunesmith.operations.files import (
    DeleteFile as DeleteFile,
)
from tunesmith.operations.files import (
    DownloadFile as DownloadFile,
)
from tunesmith.operations.files import (
    FileContentInput as FileContentInput,
)
from tunesmith.operations.files import (
    FileInput as FileInput,
)
from tunesmith.operations.files import (
    ListFiles as ListFiles,
)
from tunesmith.operations.files import (
    RetrieveFile as RetrieveFile,
)
from tunesmith.operations.fine_tunes import (
    CancelFineTune as CancelFineTune,
)
from tunesmith.operations.fine_tunes import (
    CreateFineTune as CreateFineTune,
)
from tunesmith.operations.fine_tunes import (
    FineTuneHyperparametersParam as FineTuneHyperparametersParam,
)
from tunesmith.operations.fine_tunes import (
    ListFineTuneEvents as ListFineTuneEvents,
)
from tunesmith.operations.fine_tunes import (
    ListFineTunes as ListFineTunes,
)
from tunesmith.operations.fine_tunes import (
    RetrieveFineTune as RetrieveFineTune,
)
from tunesmith.operations.fine_tuning import (
    CancelFineTuningJob as CancelFineTuningJob,
)
from tunesmith.operations.fine_tuning import (
    CreateCheckpointPermissions as CreateCheckpointPermissions,
)
from tunesmith.operations.fine_tuning import (
    CreateFineTuningJob as CreateFineTuningJob,
)
from tunesmith.operations.fine_tuning import (
    DeleteCheckpointPermission as DeleteCheckpointPermission,
)
from tunesmith.operations.fine_tuning import (
    ListCheckpointPermissions as ListCheckpointPermissions,
)
from tunesmith.operations.fine_tuning import (
    ListFineTuningJobCheckpoints as ListFineTuningJobCheckpoints,
)
from tunesmith.operations.fine_tuning import (
    ListFineTuningJobEvents as ListFineTuningJobEvents,
)
from tunesmith.operations.fine_tuning import (
    ListFineTuningJobs as ListFineTuningJobs,
)
from tunesmith.operations.fine_tuning import (
    PauseFineTuningJob as PauseFineTuningJob,
)
from tunesmith.operations.fine_tuning import (
    ResumeFineTuningJob as ResumeFineTuningJob,
)
from tunesmith.operations.fine_tuning import (
    RetrieveFineTuningJob as RetrieveFineTuningJob,
)
from tunesmith.operations.fine_tuning_methods import (
    DpoHyperparametersParam as DpoHyperparametersParam,
)
from tunesmith.operations.fine_tuning_methods import (
    DpoMethodParam as DpoMethodParam,
)
from tunesmith.operations.fine_tuning_methods import (
    FineTuneMethodParam as FineTuneMethodParam,
)
from tunesmith.operations.fine_tuning_methods import (
    ReinforcementHyperparametersParam as ReinforcementHyperparametersParam,
)
from tunesmith.operations.fine_tuning_methods import (
    ReinforcementMethodParam as ReinforcementMethodParam,
)
from tunesmith.operations.fine_tuning_methods import (
    SupervisedHyperparametersParam as SupervisedHyperparametersParam,
)
from tunesmith.operations.fine_tuning_methods import (
    SupervisedMethodParam as SupervisedMethodParam,
)
from tunesmith.operations.fine_tuning_methods import (
    WandbIntegrationParam as WandbIntegrationParam,
)
from tunesmith.operations.fine_tuning_methods import (
    WandbParam as WandbParam,
)
from tunesmith.operations.graders import (
    GraderInputParam as GraderInputParam,
)
from tunesmith.operations.graders import (
    GraderParam as GraderParam,
)
from tunesmith.operations.graders import (
    GraderSamplingParams as GraderSamplingParams,
)
from tunesmith.operations.graders import (
    LabelModelGraderParam as LabelModelGraderParam,
)
from tunesmith.operations.graders import (
    MultiGraderParam as MultiGraderParam,
)
from tunesmith.operations.graders import (
    PythonGraderParam as PythonGraderParam,
)
from tunesmith.operations.graders import (
    RunGrader as RunGrader,
)
from tunesmith.operations.graders import (
    ScoreModelGraderParam as ScoreModelGraderParam,
)
from tunesmith.operations.graders import (
    SingleGraderParam as SingleGraderParam,
)
from tunesmith.operations.graders import (
    StringCheckGraderParam as StringCheckGraderParam,
)
from tunesmith.operations.graders import (
    TextSimilarityGraderParam as TextSimilarityGraderParam,
)
from tunesmith.operations.graders import (
    ValidateGrader as ValidateGrader,
)
from tunesmith.operations.models import (
    DeleteModel as DeleteModel,
)
from tunesmith.operations.models import (
    ListModels as ListModels,
)
from tunesmith.operations.models import (
    RetrieveModel as RetrieveModel,
)
from tunesmith.operations.moderations import CreateModeration as CreateModeration
from tunesmith.operations.param_types import (
    ExpiresAfterParam as ExpiresAfterParam,
)
from tunesmith.operations.param_types import (
    MetadataParam as MetadataParam,
)
from tunesmith.operations.registry import all_operations as all_operations
from tunesmith.operations.responses import (
    CancelResponse as CancelResponse,
)
from tunesmith.operations.responses import (
    CountResponseInputTokens as CountResponseInputTokens,
)
from tunesmith.operations.responses import (
    CreateResponse as CreateResponse,
)
from tunesmith.operations.responses import (
    DeleteResponse as DeleteResponse,
)
from tunesmith.operations.responses import (
    ListResponseInputItems as ListResponseInputItems,
)
from tunesmith.operations.responses import (
    ReasoningParam as ReasoningParam,
)
from tunesmith.operations.responses import (
    ResponseInputItemParam as ResponseInputItemParam,
)
from tunesmith.operations.responses import (
    ResponseInputParam as ResponseInputParam,
)
from tunesmith.operations.responses import (
    ResponseTextParam as ResponseTextParam,
)
from tunesmith.operations.responses import (
    RetrieveResponse as RetrieveResponse,
)
from tunesmith.operations.uploads import (
    CancelUpload as CancelUpload,
)
from tunesmith.operations.uploads import (
    CompleteUpload as CompleteUpload,
)
from tunesmith.operations.uploads import (
    CreateUpload as CreateUpload,
)
from tunesmith.operations.uploads import (
    CreateUploadPart as CreateUploadPart,
)
