"""The Files and Uploads APIs of the service."""
