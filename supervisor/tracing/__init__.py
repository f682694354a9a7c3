"""Traces of requests with OpenTelemetry, an extra. Only `setup` may be imported without its packages."""
