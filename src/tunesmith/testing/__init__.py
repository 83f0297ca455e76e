"""What tests of code that uses tunesmith need; each name loads its module when first used.

The fixtures and options are those of a pytest plugin, `tunesmith.testing.pytest_plugin`, which is
there as soon as tunesmith is installed.
"""

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
