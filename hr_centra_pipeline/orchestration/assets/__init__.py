"""The assets, one file per stage of the flow: each calls its stage's function and reports what it filled."""
