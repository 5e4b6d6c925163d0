"""Elastic Load Balancing, version 2012-06-01: Classic Load Balancers."""
