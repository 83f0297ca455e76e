"""Transport over asyncio protocols and httptools, for high throughput."""
