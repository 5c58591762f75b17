"""Remedies of the service family."""
