"""Does everything that ought to hold, hold; who is alerted when it does not; doctor; erasing a person."""
