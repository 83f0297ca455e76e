"""Large files, sent in parts."""

from functools import cached_property

from tunesmith.operations.uploads import (
    CancelUpload,
    CompleteUpload,
    CreateUpload,
    CreateUploadPart,
)
from tunesmith.resources.base import Resource, operation_method

__all__ = ["UploadParts", "Uploads"]


class UploadParts(Resource):
    """The parts of an upload."""

    create = operation_method(CreateUploadPart)


class Uploads(Resource):
    """Large files, sent in parts; `files.upload` does it all."""

    create = operation_method(CreateUpload)
    complete = operation_method(CompleteUpload)
    cancel = operation_method(CancelUpload)

    @cached_property
    def parts(self) -> UploadParts:
        """The parts of an upload."""
        return UploadParts(self.caller)
