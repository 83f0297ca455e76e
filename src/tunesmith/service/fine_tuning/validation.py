"""What is refused at once when a job is created; all else shows later."""

from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.fine_tuning.lifecycle import ServiceContext

__all__ = ["validate_base_model", "validate_training_file"]


def validate_base_model(context: ServiceContext, name: str, tunable: tuple[str, ...]) -> None:
    """Refuse a model that cannot be tuned.

    Raises:
        ServiceError: There is no such model, or it is not for tuning.
    """
    if not context.models.exists(name):
        text = context.behavior.unknown_training_model
        raise invalid(text.format(name=name), "model", "model_not_found")
    if context.models.base_of(name) not in tunable:
        text = context.behavior.model_not_tunable_message
        raise invalid(text.format(name=name), "model", "model_not_available")


def validate_training_file(context: ServiceContext, id: str, param: str) -> None:
    """Refuse a file that does not exist or that is for something else.

    Raises:
        ServiceError: It is so.
    """
    try:
        file = context.files.find(id)
    except ServiceError:
        text = context.behavior.unknown_training_file.format(id=id)
        raise invalid(text, param, "invalid_file_id") from None
    if file.purpose != "fine-tune":
        text = context.behavior.wrong_file_purpose
        raise invalid(text.format(id=id, purpose=file.purpose), param)
