"""What is in trouble, whose it is, how much money it is and what to do: one SQL file per kind of exception."""
