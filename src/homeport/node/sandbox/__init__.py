"""Network sandboxes: namespaces of our own for containers, routed on the host (see docs/adr)."""
