"""Network sandboxes: namespaces of our own for containers, routed on the host (docs/adr/0033)."""
