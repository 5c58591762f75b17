"""Checks of the certificate family."""
