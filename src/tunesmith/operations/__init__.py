"""Operations of the API: one class per operation, one module for each kind of object."""

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
