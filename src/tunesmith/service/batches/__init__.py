"""The Batch API of the service."""
