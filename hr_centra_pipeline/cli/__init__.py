"""Thin doors: one file per command or family. Nothing lives only here."""
