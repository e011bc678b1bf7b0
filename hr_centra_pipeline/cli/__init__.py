"""Thin entry points: one file per command or family. No logic lives only here."""
