"""Edits of text formats: one module a format, bytes outside the edit kept."""
