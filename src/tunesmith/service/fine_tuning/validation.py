"""What is refused at once when a job is created; all else shows later."""

from tunesmith.service.core.errors import ServiceError, invalid
from tunesmith.service.fine_tuning.lifecycle import Workshop

__all__ = ["require_training_file", "require_tunable"]


def require_tunable(shop: Workshop, name: str, tunable: tuple[str, ...]) -> None:
    """Refuse a model that cannot be tuned.

    Raises:
        ServiceError: There is no such model, or it is not for tuning.
    """
    if not shop.models.exists(name):
        text = shop.assumptions.unknown_training_model
        raise invalid(text.format(name=name), "model", "model_not_found")
    if shop.models.base_of(name) not in tunable:
        text = shop.assumptions.not_tunable
        raise invalid(text.format(name=name), "model", "model_not_available")


def require_training_file(shop: Workshop, id: str, param: str) -> None:
    """Refuse a file that does not exist or that is for something else.

    Raises:
        ServiceError: It is so.
    """
    try:
        file = shop.files.find(id)
    except ServiceError:
        text = shop.assumptions.unknown_training_file.format(id=id)
        raise invalid(text, param, "invalid_file_id") from None
    if file.purpose != "fine-tune":
        text = shop.assumptions.wrong_file_purpose
        raise invalid(text.format(id=id, purpose=file.purpose), param)
