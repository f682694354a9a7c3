"""Provoking real failures of real MLX versions, for `scripts/capture`."""
