"""Numbered SQL, one file per change of the state tables; never edited once released."""
