"""Checks: pure judgements over facts, one concern a file."""
