"""Ringwarden as a service of launchd or systemd, for one user."""
