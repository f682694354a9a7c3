"""What `scripts/bench` measures; see docs/benchmarks.md."""
