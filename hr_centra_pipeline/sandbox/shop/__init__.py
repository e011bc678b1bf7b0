"""A believable fashion shop: what it sells, how its returns go, and the trouble that is planted in it."""
