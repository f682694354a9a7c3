"""The `ringwarden` command: the composition root."""
