"""The kernel that applies trading commands one at a time, in integers, without I/O, clock, log or thread."""
