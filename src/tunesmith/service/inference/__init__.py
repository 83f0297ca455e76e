"""Completions, chat, embeddings and moderations of the service, and their stubs."""
