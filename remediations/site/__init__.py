"""Remedies of the site family."""
