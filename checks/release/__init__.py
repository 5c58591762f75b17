"""Checks of the release family."""
