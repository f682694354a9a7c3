"""The OpenAI-compatible HTTP surface over a `Gateway`."""
