"""HTTP calls to a vendor, whoever it is: bounded in seconds and bytes, with a secret that stays in its header."""
