"""The deterministic state machine for the documents: names, instruments, identities and schedules."""

from kk99.directory.directory import Directory

__all__ = ["Directory"]
