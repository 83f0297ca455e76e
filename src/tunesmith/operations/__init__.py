"""What can be asked of the service: one file a noun, one class an operation."""
