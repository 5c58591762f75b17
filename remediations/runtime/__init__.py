"""Remedies of the runtime family."""
