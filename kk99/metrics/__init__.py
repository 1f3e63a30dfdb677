"""What every process of the venue measures of itself, and how these figures leave it: over a Unix socket."""
