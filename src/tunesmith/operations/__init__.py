"""What can be asked of the service: one file a noun, one class an operation."""

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
