"""Persistent state of the service."""
