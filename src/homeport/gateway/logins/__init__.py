"""Logging in with an OpenID Connect provider, for load balancers' rules that want it."""
