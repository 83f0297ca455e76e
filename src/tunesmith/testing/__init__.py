"""Helpers for tests of code that uses tunesmith; each name loads its module when first used.

Fixtures and options come from the pytest plugin `tunesmith.testing.pytest_plugin`, which pytest
loads wherever tunesmith is installed.
"""

from tunesmith._lazy import attach_stub

__getattr__, __dir__ = attach_stub(__name__)
