"""The doors to a backend for those who speak HTTP: an httpx transport, an ASGI app, a server.

Each stands before any backend: the service in memory, and all that is wrapped around it.
"""
