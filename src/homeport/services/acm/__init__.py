"""AWS Certificate Manager: certificates that are brought, and those of the installation's own authority."""
