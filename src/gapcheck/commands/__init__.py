"""The commands: options parsed, the use case called, the outcome shown."""
