"""The cluster bus: how a head and its nodes talk, over ZeroMQ with CURVE."""
