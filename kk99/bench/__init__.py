"""Benchmarks: neutral workloads and the yardsticks that the core is measured against."""
