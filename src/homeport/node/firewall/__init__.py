"""Security groups as nftables' rules: from what packets must obey to a table in the kernel."""
