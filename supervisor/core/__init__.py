"""Pure policy machines: `handle(input, now) -> actions`. No clock, process, socket, logger or await inside."""
