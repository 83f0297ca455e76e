"""State of the service on disk."""
