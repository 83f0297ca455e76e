"""Types of responses: one module for each kind of object."""

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
