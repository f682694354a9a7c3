"""The child process that computes one shard. Started by exec only (`python -m runner`), never imported by the supervisor."""
