"""Record the traffic with a service and replay it in tests."""
