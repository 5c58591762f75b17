"""Checks of the site family."""
