"""Checks of the registry family."""
