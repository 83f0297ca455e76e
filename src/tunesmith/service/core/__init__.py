"""State, scheduling and behavior shared by all parts of the service."""
