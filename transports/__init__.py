"""Bytes on wires, no policy: messages, framing, the private runner channel, the HTTP surfaces."""
