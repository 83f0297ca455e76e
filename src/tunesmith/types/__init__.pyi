from tunesmith.types.base import (
    APIModel as APIModel,
)
from tunesmith.types.base import (
    APIResponse as APIResponse,
)
from tunesmith.types.base import (
    DeletedObject as DeletedObject,
)
from tunesmith.types.base import ErrorObject as ErrorObject
from tunesmith.types.base import (
    Metadata as Metadata,
)
from tunesmith.types.base import (
    Page as Page,
)
from tunesmith.types.batch_lines import (
    BatchLineError as BatchLineError,
)
from tunesmith.types.batch_lines import (
    BatchLineResponse as BatchLineResponse,
)
from tunesmith.types.batch_lines import (
    BatchRequestLine as BatchRequestLine,
)
from tunesmith.types.batch_lines import (
    BatchResponseLine as BatchResponseLine,
)
from tunesmith.types.batches import (
    Batch as Batch,
)
from tunesmith.types.batches import (
    BatchError as BatchError,
)
from tunesmith.types.batches import (
    BatchErrors as BatchErrors,
)
from tunesmith.types.batches import (
    BatchRequestCounts as BatchRequestCounts,
)
from tunesmith.types.batches import (
    BatchUsage as BatchUsage,
)
from tunesmith.types.chat import (
    Annotation as Annotation,
)
from tunesmith.types.chat import (
    AnnotationURLCitation as AnnotationURLCitation,
)
from tunesmith.types.chat import (
    ChatCompletion as ChatCompletion,
)
from tunesmith.types.chat import (
    ChatCompletionAudio as ChatCompletionAudio,
)
from tunesmith.types.chat import (
    ChatCompletionChunk as ChatCompletionChunk,
)
from tunesmith.types.chat import (
    ChatCompletionDeleted as ChatCompletionDeleted,
)
from tunesmith.types.chat import (
    ChatCompletionMessage as ChatCompletionMessage,
)
from tunesmith.types.chat import (
    ChatCompletionMessageCustomToolCall as ChatCompletionMessageCustomToolCall,
)
from tunesmith.types.chat import (
    ChatCompletionMessageFunctionToolCall as ChatCompletionMessageFunctionToolCall,
)
from tunesmith.types.chat import (
    ChatCompletionModeration as ChatCompletionModeration,
)
from tunesmith.types.chat import (
    ChatCompletionModerationOutcome as ChatCompletionModerationOutcome,
)
from tunesmith.types.chat import (
    ChatCompletionStoreMessage as ChatCompletionStoreMessage,
)
from tunesmith.types.chat import (
    ChatCompletionTokenLogprob as ChatCompletionTokenLogprob,
)
from tunesmith.types.chat import (
    Choice as Choice,
)
from tunesmith.types.chat import (
    ChoiceDelta as ChoiceDelta,
)
from tunesmith.types.chat import (
    ChoiceDeltaToolCall as ChoiceDeltaToolCall,
)
from tunesmith.types.chat import (
    ChoiceLogprobs as ChoiceLogprobs,
)
from tunesmith.types.chat import (
    ChunkChoice as ChunkChoice,
)
from tunesmith.types.chat import (
    Custom as Custom,
)
from tunesmith.types.chat import (
    DeltaCustom as DeltaCustom,
)
from tunesmith.types.chat import (
    DeltaFunctionCall as DeltaFunctionCall,
)
from tunesmith.types.chat import (
    FinishReason as FinishReason,
)
from tunesmith.types.chat import (
    FunctionCall as FunctionCall,
)
from tunesmith.types.chat import (
    ParsedChatCompletion as ParsedChatCompletion,
)
from tunesmith.types.chat import (
    ParsedChatCompletionMessage as ParsedChatCompletionMessage,
)
from tunesmith.types.chat import (
    ParsedChoice as ParsedChoice,
)
from tunesmith.types.chat import (
    TopLogprob as TopLogprob,
)
from tunesmith.types.completions import (
    Completion as Completion,
)
from tunesmith.types.completions import (
    CompletionChoice as CompletionChoice,
)
from tunesmith.types.completions import (
    CompletionTokensDetails as CompletionTokensDetails,
)
from tunesmith.types.completions import (
    CompletionUsage as CompletionUsage,
)
from tunesmith.types.completions import (
    Logprobs as Logprobs,
)
from tunesmith.types.completions import (
    PromptTokensDetails as PromptTokensDetails,
)
from tunesmith.types.embeddings import (
    CreateEmbeddingResponse as CreateEmbeddingResponse,
)
from tunesmith.types.embeddings import (
    Embedding as Embedding,
)
from tunesmith.types.files import (
    FileDeleted as FileDeleted,
)
from tunesmith.types.files import (
    FileObject as FileObject,
)
from tunesmith.types.fine_tunes import (
    FineTune as FineTune,
)
from tunesmith.types.fine_tunes import (
    FineTuneEvent as FineTuneEvent,
)
from tunesmith.types.fine_tunes import (
    FineTuneHyperparams as FineTuneHyperparams,
)
from tunesmith.types.fine_tuning import (
    CheckpointMetrics as CheckpointMetrics,
)
from tunesmith.types.fine_tuning import (
    CheckpointPermission as CheckpointPermission,
)
from tunesmith.types.fine_tuning import (
    CheckpointPermissionDeleted as CheckpointPermissionDeleted,
)
from tunesmith.types.fine_tuning import (
    DpoMethod as DpoMethod,
)
from tunesmith.types.fine_tuning import (
    FineTuneMethod as FineTuneMethod,
)
from tunesmith.types.fine_tuning import (
    FineTuningHyperparameters as FineTuningHyperparameters,
)
from tunesmith.types.fine_tuning import (
    FineTuningJob as FineTuningJob,
)
from tunesmith.types.fine_tuning import (
    FineTuningJobCheckpoint as FineTuningJobCheckpoint,
)
from tunesmith.types.fine_tuning import (
    FineTuningJobError as FineTuningJobError,
)
from tunesmith.types.fine_tuning import (
    FineTuningJobEvent as FineTuningJobEvent,
)
from tunesmith.types.fine_tuning import (
    FineTuningJobWandbIntegration as FineTuningJobWandbIntegration,
)
from tunesmith.types.fine_tuning import (
    FineTuningJobWandbIntegrationObject as FineTuningJobWandbIntegrationObject,
)
from tunesmith.types.fine_tuning import (
    ReinforcementMethod as ReinforcementMethod,
)
from tunesmith.types.fine_tuning import (
    SupervisedMethod as SupervisedMethod,
)
from tunesmith.types.graders import (
    RunGraderMetadata as RunGraderMetadata,
)
from tunesmith.types.graders import (
    RunGraderResponse as RunGraderResponse,
)
from tunesmith.types.graders import (
    ValidateGraderResponse as ValidateGraderResponse,
)
from tunesmith.types.models import (
    Model as Model,
)
from tunesmith.types.models import (
    ModelDeleted as ModelDeleted,
)
from tunesmith.types.moderations import (
    CreateModerationResponse as CreateModerationResponse,
)
from tunesmith.types.moderations import (
    Moderation as Moderation,
)
from tunesmith.types.responses import (
    ParsedResponse as ParsedResponse,
)
from tunesmith.types.responses import (
    Response as Response,
)
from tunesmith.types.responses import (
    ResponseContentPart as ResponseContentPart,
)
from tunesmith.types.responses import (
    ResponseCustomToolCall as ResponseCustomToolCall,
)
from tunesmith.types.responses import (
    ResponseDeleted as ResponseDeleted,
)
from tunesmith.types.responses import (
    ResponseError as ResponseError,
)
from tunesmith.types.responses import (
    ResponseFunctionToolCall as ResponseFunctionToolCall,
)
from tunesmith.types.responses import (
    ResponseIncompleteDetails as ResponseIncompleteDetails,
)
from tunesmith.types.responses import (
    ResponseInputTokens as ResponseInputTokens,
)
from tunesmith.types.responses import (
    ResponseItem as ResponseItem,
)
from tunesmith.types.responses import (
    ResponseOtherItem as ResponseOtherItem,
)
from tunesmith.types.responses import (
    ResponseOtherPart as ResponseOtherPart,
)
from tunesmith.types.responses import (
    ResponseOutputItem as ResponseOutputItem,
)
from tunesmith.types.responses import (
    ResponseOutputMessage as ResponseOutputMessage,
)
from tunesmith.types.responses import (
    ResponseOutputRefusal as ResponseOutputRefusal,
)
from tunesmith.types.responses import (
    ResponseOutputText as ResponseOutputText,
)
from tunesmith.types.responses import (
    ResponseReasoningItem as ResponseReasoningItem,
)
from tunesmith.types.responses import (
    ResponseStreamEvent as ResponseStreamEvent,
)
from tunesmith.types.responses import (
    ResponseUsage as ResponseUsage,
)
from tunesmith.types.results import (
    JobResults as JobResults,
)
from tunesmith.types.results import (
    StepMetrics as StepMetrics,
)
from tunesmith.types.training_data import (
    ChatExample as ChatExample,
)
from tunesmith.types.training_data import (
    CompletionExample as CompletionExample,
)
from tunesmith.types.training_data import (
    PreferenceExample as PreferenceExample,
)
from tunesmith.types.training_data import (
    PreferenceInput as PreferenceInput,
)
from tunesmith.types.training_data import (
    ReinforcementExample as ReinforcementExample,
)
from tunesmith.types.training_data import (
    TrainingMessage as TrainingMessage,
)
from tunesmith.types.uploads import (
    Upload as Upload,
)
from tunesmith.types.uploads import (
    UploadPart as UploadPart,
)
from tunesmith.types.webhooks import (
    WebhookData as WebhookData,
)
from tunesmith.types.webhooks import (
    WebhookEvent as WebhookEvent,
)
