"""A group over several nodes: the head that decides, and the agents that carry out."""
