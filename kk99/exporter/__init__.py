"""Gathers what the venue's processes report, adds what the events tell, and serves it to Prometheus."""
