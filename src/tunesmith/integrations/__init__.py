"""Integrations with dashboards, telemetry and Ray; each needs an extra."""
