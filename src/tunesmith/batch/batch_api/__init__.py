"""Batch jobs through the provider's Batch API."""
