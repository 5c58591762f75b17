"""Proves that an air-gapped Kubernetes site can install from its private registry."""

__version__ = "0.1.0"
