"""Does everything that ought to hold, hold; who is told when it does not; doctor; forgetting a person."""
