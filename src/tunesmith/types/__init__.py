"""What comes back from the service: one file a noun."""
