"""What `/metrics` tells. docs/metrics.md lists it."""
