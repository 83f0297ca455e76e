"""The API itself, without HTTP: its state, its behaviour and the engines behind it."""
