"""Where requests go: the seam and those who implement it."""
