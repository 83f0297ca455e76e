"""Other people's tools: dashboards for training, telemetry; each one comes with an extra."""
