"""Uploads of large files in parts."""

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
    """Parts of an upload."""

    create = operation_method(CreateUploadPart)


class Uploads(Resource):
    """Uploads of large files in parts; `files.upload` covers all steps."""

    create = operation_method(CreateUpload)
    complete = operation_method(CompleteUpload)
    cancel = operation_method(CancelUpload)

    @cached_property
    def parts(self) -> UploadParts:
        """Parts of the upload."""
        return UploadParts(self.caller)
