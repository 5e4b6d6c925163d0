"""AWS's wire: bytes to values and back, sans-I/O, directed by botocore's service models."""
