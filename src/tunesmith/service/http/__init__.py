"""HTTP front ends of a backend: an httpx transport, an ASGI app, and a server.

Each serves any backend: the service in memory, and everything that wraps it.
"""
