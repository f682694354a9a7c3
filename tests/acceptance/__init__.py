"""Clients from the registries against a real daemon with real faults: `scripts/acceptance`, docs/acceptance.md."""
