"""Elastic Load Balancing's nouns."""
