"""The audit: runs, verifies, bisects, inspects and exports a log."""
