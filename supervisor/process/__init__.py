"""Child processes: started, read, ended and reaped by one owner."""
