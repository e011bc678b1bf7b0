"""Fuzzers, one for each edge at which something comes in."""
