"""Real systems that faults are put into: nodes with systemd and containerd, and a registry."""
