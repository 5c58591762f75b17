"""Remedies: pure planners, and the one applier that executes their changes."""
