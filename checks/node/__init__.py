"""Checks of the node family."""
