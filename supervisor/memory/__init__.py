"""Watching the memory of runners, and asking the system whether one was killed for want of it."""
