"""Large files, sent in parts."""

from functools import cached_property

from tunesmith.operations.uploads import (
    CancelUpload,
    CompleteUpload,
    CreateUpload,
    CreateUploadPart,
)
from tunesmith.resources.base import Resource
from tunesmith.resources.method import call

__all__ = ["UploadParts", "Uploads"]


class UploadParts(Resource):
    """The parts of an upload."""

    create = call(CreateUploadPart)


class Uploads(Resource):
    """Large files, sent in parts; `files.upload` does it all."""

    create = call(CreateUpload)
    complete = call(CompleteUpload)
    cancel = call(CancelUpload)

    @cached_property
    def parts(self) -> UploadParts:
        """The parts of an upload."""
        return UploadParts(self.caller)
