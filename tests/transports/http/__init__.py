"""The HTTP surface over a real server, with a scripted gateway as its only boundary."""
