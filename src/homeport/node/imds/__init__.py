"""The instance metadata service: what 169.254.169.254 answers to an instance's containers."""
