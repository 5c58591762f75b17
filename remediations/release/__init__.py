"""Remedies of the release family."""
