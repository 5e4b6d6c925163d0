"""Load balancers: what carries their traffic on a machine, and how the other services use them."""
