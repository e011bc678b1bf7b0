"""A year of a shop, lived month by month, and its tables next to what follows from what happened in it."""
