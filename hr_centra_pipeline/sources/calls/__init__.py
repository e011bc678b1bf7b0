"""HTTP calls to any vendor: bounded in seconds and bytes, with a secret that stays in its header."""
