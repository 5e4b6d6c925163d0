"""AWS's wire protocols, one module each; `wire.codec` chooses among them."""
