"""Inject faults between a client and a backend."""
