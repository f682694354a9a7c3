"""The child process that computes one shard. Started by exec only (`python -m runner`)."""
