"""What a packet does in Centra: one file per operation, and what they share. ``registry.py`` lists them."""
