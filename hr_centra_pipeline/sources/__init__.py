"""One package per vendor: what is read from it and landed, and its client."""
