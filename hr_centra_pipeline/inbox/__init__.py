"""Where vendors' webhook deliveries arrive and are kept: a receiver, signatures, and a store of raw bodies."""
