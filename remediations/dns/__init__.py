"""Remedies of the dns family."""
