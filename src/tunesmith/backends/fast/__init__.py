"""Transport on an asyncio protocol and httptools, for high throughput."""
