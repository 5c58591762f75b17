"""Remedies of the certificate family."""
