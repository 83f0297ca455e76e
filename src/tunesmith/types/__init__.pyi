from tunesmith.operations.chat_messages import (
    ChatCompletionAssistantMessageParam as ChatCompletionAssistantMessageParam,
    ChatCompletionContentPartImageParam as ChatCompletionContentPartImageParam,
    ChatCompletionContentPartInputAudioParam as ChatCompletionContentPartInputAudioParam,
    ChatCompletionContentPartParam as ChatCompletionContentPartParam,
    ChatCompletionContentPartRefusalParam as ChatCompletionContentPartRefusalParam,
    ChatCompletionContentPartTextParam as ChatCompletionContentPartTextParam,
    ChatCompletionDeveloperMessageParam as ChatCompletionDeveloperMessageParam,
    ChatCompletionFunctionMessageParam as ChatCompletionFunctionMessageParam,
    ChatCompletionMessageCustomToolCallParam as ChatCompletionMessageCustomToolCallParam,
    ChatCompletionMessageFunctionToolCallParam as ChatCompletionMessageFunctionToolCallParam,
    ChatCompletionMessageParam as ChatCompletionMessageParam,
    ChatCompletionMessageToolCallParam as ChatCompletionMessageToolCallParam,
    ChatCompletionSystemMessageParam as ChatCompletionSystemMessageParam,
    ChatCompletionToolMessageParam as ChatCompletionToolMessageParam,
    ChatCompletionUserMessageParam as ChatCompletionUserMessageParam,
)
from tunesmith.operations.chat_params import (
    ChatCompletionAllowedToolChoiceParam as ChatCompletionAllowedToolChoiceParam,
    ChatCompletionAudioParam as ChatCompletionAudioParam,
    ChatCompletionCustomToolParam as ChatCompletionCustomToolParam,
    ChatCompletionFunctionCallOptionParam as ChatCompletionFunctionCallOptionParam,
    ChatCompletionFunctionToolParam as ChatCompletionFunctionToolParam,
    ChatCompletionNamedToolChoiceCustomParam as ChatCompletionNamedToolChoiceCustomParam,
    ChatCompletionNamedToolChoiceParam as ChatCompletionNamedToolChoiceParam,
    ChatCompletionPredictionContentParam as ChatCompletionPredictionContentParam,
    ChatCompletionStreamOptionsParam as ChatCompletionStreamOptionsParam,
    ChatCompletionToolChoiceOptionParam as ChatCompletionToolChoiceOptionParam,
    ChatCompletionToolParam as ChatCompletionToolParam,
    CustomToolParam as CustomToolParam,
    FunctionDefinition as FunctionDefinition,
    ResponseFormatJSONObject as ResponseFormatJSONObject,
    ResponseFormatJSONSchema as ResponseFormatJSONSchema,
    ResponseFormatText as ResponseFormatText,
)
from tunesmith.operations.fine_tuning_methods import (
    DpoHyperparametersParam as DpoHyperparametersParam,
    DpoMethodParam as DpoMethodParam,
    ReinforcementHyperparametersParam as ReinforcementHyperparametersParam,
    ReinforcementMethodParam as ReinforcementMethodParam,
    SupervisedHyperparametersParam as SupervisedHyperparametersParam,
    SupervisedMethodParam as SupervisedMethodParam,
)
from tunesmith.operations.graders import (
    LabelModelGraderParam as LabelModelGraderParam,
    MultiGraderParam as MultiGraderParam,
    PythonGraderParam as PythonGraderParam,
    ScoreModelGraderParam as ScoreModelGraderParam,
    StringCheckGraderParam as StringCheckGraderParam,
    TextSimilarityGraderParam as TextSimilarityGraderParam,
)
from tunesmith.operations.responses import (
    ResponseInputItemParam as ResponseInputItemParam,
    ResponseInputParam as ResponseInputParam,
)
from tunesmith.types.base import (
    APIModel as APIModel,
    APIResponse as APIResponse,
    DeletedObject as DeletedObject,
    ErrorObject as ErrorObject,
    Metadata as Metadata,
    Page as Page,
)
from tunesmith.types.batch_lines import (
    BatchLineError as BatchLineError,
    BatchLineResponse as BatchLineResponse,
    BatchRequestLine as BatchRequestLine,
    BatchResponseLine as BatchResponseLine,
)
from tunesmith.types.batches import (
    Batch as Batch,
    BatchError as BatchError,
    BatchErrors as BatchErrors,
    BatchRequestCounts as BatchRequestCounts,
    BatchUsage as BatchUsage,
)
from tunesmith.types.chat import (
    Annotation as Annotation,
    AnnotationURLCitation as AnnotationURLCitation,
    ChatCompletion as ChatCompletion,
    ChatCompletionAudio as ChatCompletionAudio,
    ChatCompletionChunk as ChatCompletionChunk,
    ChatCompletionDeleted as ChatCompletionDeleted,
    ChatCompletionMessage as ChatCompletionMessage,
    ChatCompletionMessageCustomToolCall as ChatCompletionMessageCustomToolCall,
    ChatCompletionMessageFunctionToolCall as ChatCompletionMessageFunctionToolCall,
    ChatCompletionModeration as ChatCompletionModeration,
    ChatCompletionModerationOutcome as ChatCompletionModerationOutcome,
    ChatCompletionStoreMessage as ChatCompletionStoreMessage,
    ChatCompletionTokenLogprob as ChatCompletionTokenLogprob,
    Choice as Choice,
    ChoiceDelta as ChoiceDelta,
    ChoiceDeltaToolCall as ChoiceDeltaToolCall,
    ChoiceLogprobs as ChoiceLogprobs,
    ChunkChoice as ChunkChoice,
    Custom as Custom,
    DeltaCustom as DeltaCustom,
    DeltaFunctionCall as DeltaFunctionCall,
    FinishReason as FinishReason,
    FunctionCall as FunctionCall,
    ParsedChatCompletion as ParsedChatCompletion,
    ParsedChatCompletionMessage as ParsedChatCompletionMessage,
    ParsedChoice as ParsedChoice,
    TopLogprob as TopLogprob,
)
from tunesmith.types.completions import (
    Completion as Completion,
    CompletionChoice as CompletionChoice,
    CompletionTokensDetails as CompletionTokensDetails,
    CompletionUsage as CompletionUsage,
    Logprobs as Logprobs,
    PromptTokensDetails as PromptTokensDetails,
)
from tunesmith.types.embeddings import (
    CreateEmbeddingResponse as CreateEmbeddingResponse,
    Embedding as Embedding,
)
from tunesmith.types.files import (
    FileDeleted as FileDeleted,
    FileObject as FileObject,
)
from tunesmith.types.fine_tunes import (
    FineTune as FineTune,
    FineTuneEvent as FineTuneEvent,
    FineTuneHyperparams as FineTuneHyperparams,
)
from tunesmith.types.fine_tuning import (
    CheckpointMetrics as CheckpointMetrics,
    CheckpointPermission as CheckpointPermission,
    CheckpointPermissionDeleted as CheckpointPermissionDeleted,
    DpoMethod as DpoMethod,
    FineTuneMethod as FineTuneMethod,
    FineTuningHyperparameters as FineTuningHyperparameters,
    FineTuningJob as FineTuningJob,
    FineTuningJobCheckpoint as FineTuningJobCheckpoint,
    FineTuningJobError as FineTuningJobError,
    FineTuningJobEvent as FineTuningJobEvent,
    FineTuningJobWandbIntegration as FineTuningJobWandbIntegration,
    FineTuningJobWandbIntegrationObject as FineTuningJobWandbIntegrationObject,
    ReinforcementMethod as ReinforcementMethod,
    SupervisedMethod as SupervisedMethod,
)
from tunesmith.types.graders import (
    RunGraderMetadata as RunGraderMetadata,
    RunGraderResponse as RunGraderResponse,
    ValidateGraderResponse as ValidateGraderResponse,
)
from tunesmith.types.models import (
    Model as Model,
    ModelDeleted as ModelDeleted,
)
from tunesmith.types.moderations import (
    CreateModerationResponse as CreateModerationResponse,
    Moderation as Moderation,
)
from tunesmith.types.responses import (
    ParsedResponse as ParsedResponse,
    Response as Response,
    ResponseContentPart as ResponseContentPart,
    ResponseCustomToolCall as ResponseCustomToolCall,
    ResponseDeleted as ResponseDeleted,
    ResponseError as ResponseError,
    ResponseFunctionToolCall as ResponseFunctionToolCall,
    ResponseIncompleteDetails as ResponseIncompleteDetails,
    ResponseInputTokens as ResponseInputTokens,
    ResponseItem as ResponseItem,
    ResponseOtherItem as ResponseOtherItem,
    ResponseOtherPart as ResponseOtherPart,
    ResponseOutputItem as ResponseOutputItem,
    ResponseOutputMessage as ResponseOutputMessage,
    ResponseOutputRefusal as ResponseOutputRefusal,
    ResponseOutputText as ResponseOutputText,
    ResponseReasoningItem as ResponseReasoningItem,
    ResponseStreamEvent as ResponseStreamEvent,
    ResponseUsage as ResponseUsage,
)
from tunesmith.types.results import (
    JobResults as JobResults,
    StepMetrics as StepMetrics,
)
from tunesmith.types.training_data import (
    ChatExample as ChatExample,
    CompletionExample as CompletionExample,
    PreferenceExample as PreferenceExample,
    PreferenceInput as PreferenceInput,
    ReinforcementExample as ReinforcementExample,
    TrainingMessage as TrainingMessage,
)
from tunesmith.types.uploads import (
    Upload as Upload,
    UploadPart as UploadPart,
)
from tunesmith.types.webhooks import (
    WebhookData as WebhookData,
    WebhookEvent as WebhookEvent,
)
