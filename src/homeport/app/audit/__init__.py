"""The audit log: written, read, and shown."""
