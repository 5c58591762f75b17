"""Proves that an air-gapped Kubernetes site can install from its private registry."""
