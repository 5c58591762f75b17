"""Remedies of the node family."""
