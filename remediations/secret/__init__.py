"""Remedies of the secret family."""
