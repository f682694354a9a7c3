"""The parent: starts runners, watches them, says why they died, and starts them again. Never imports mlx."""
