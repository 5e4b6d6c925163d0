"""EC2 as far as Homeport has a network: VPCs, subnets, groups, interfaces, and the local instances."""
