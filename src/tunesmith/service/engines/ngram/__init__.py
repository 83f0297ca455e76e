"""The built-in engine: an n-gram model in plain Python."""
