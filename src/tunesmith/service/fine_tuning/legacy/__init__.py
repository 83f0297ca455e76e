"""The legacy fine-tunes API of the service."""
