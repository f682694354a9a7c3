"""How `runner/models/tiny` is made. Only `scripts/build_tiny_model` and its tests use it."""
