"""Checks of the secret family."""
