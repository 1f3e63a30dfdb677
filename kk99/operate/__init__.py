"""What operators do with a venue: look at it, give orders about it, keep and restore it, install and upgrade it."""
