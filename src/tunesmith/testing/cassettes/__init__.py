"""Recording of the traffic with a service, and replay without it."""
