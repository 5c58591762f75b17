"""Checks of the service family."""
