"""What happens, for those who watch it happen."""
