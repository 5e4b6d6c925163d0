"""Elastic Load Balancing version 2: load balancers, listeners, rules, target groups and their targets."""
