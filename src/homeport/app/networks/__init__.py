"""EC2's networks as this machine has them: ranges, addresses, firewall, names, interfaces of tasks."""
