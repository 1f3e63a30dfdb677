"""The venue: one totally ordered log of commands, and everything it knows a function of that log."""
