"""Sampler: a process that generates text with one base model and adapters on it."""
