"""The Ollama surface: `/api/...`."""
