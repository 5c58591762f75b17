"""Repairs as text that others carry: Helm values, manifests, a playbook, rights."""
