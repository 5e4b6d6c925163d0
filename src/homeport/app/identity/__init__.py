"""Who calls, as the gateway asks: keys, sessions, roles, and what must exist of them at the first start."""
