"""The shipped event profile."""
