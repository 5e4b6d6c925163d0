"""Systems Manager Parameter Store: the parameters that tasks and their tools read."""
