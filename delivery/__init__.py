"""Builds what is carried into an air gap; `python -m delivery --help`."""
