"""AWS Cloud Map: namespaces, services and where their instances are."""
