"""Remedies of the registry family."""
