"""What people call: one file a noun."""
