"""Calls: attempts, retries, time limits and logs, the same for every backend."""
