"""Container instances of this machine: what they share, and an agent for each."""
