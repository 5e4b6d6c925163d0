"""Secrets Manager: the secrets that tasks and their tools read."""
