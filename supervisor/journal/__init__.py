"""What happened, kept where it can be found again: incidents, generations, tasks, their captured logs, events."""
