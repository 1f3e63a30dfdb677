"""The append-only log of commands and, derived from it, the event store."""
