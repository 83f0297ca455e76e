"""The legacy fine-tunes API."""
