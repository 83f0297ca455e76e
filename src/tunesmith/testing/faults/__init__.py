"""Fault injection between a client and a backend."""
