"""The Anthropic surface: `/v1/messages`."""
