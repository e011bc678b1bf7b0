"""Joins Happy Returns (return logistics) to Centra (commerce back end): see docs/architecture.md."""
