"""The public names of the official SDK beside those of tunesmith: `python -m tests.surface`."""
