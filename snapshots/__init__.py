"""The state at a sequence: written, catalogued and loaded."""
