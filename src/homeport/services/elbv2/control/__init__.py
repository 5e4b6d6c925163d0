"""What keeps the data plane true to the state."""
