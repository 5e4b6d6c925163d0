"""Load balancers as they are meant, and the proxy's configuration that makes them so. Pure."""
