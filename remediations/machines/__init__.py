"""Where changes happen: a folder, a machine behind a shell, a cluster."""
