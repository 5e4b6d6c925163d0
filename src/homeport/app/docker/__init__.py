"""Docker Engine for set-up and for people; a node's own driver is in `node/drivers`."""
