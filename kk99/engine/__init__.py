"""The one place that gives a command its sequence and its time, and that owns the threads."""
