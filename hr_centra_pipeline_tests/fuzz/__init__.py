"""What comes from outside, changed at random: each edge says of each input what became of it, and nothing may escape.

An edge is a module here with ``run(count, seed) -> Counter[str]``: outcomes by name, of exactly ``count`` inputs. An outcome
that begins with :data:`ESCAPE` is a mistake of ours: an exception out of a stage, or more time or memory than its bound.
"""

ESCAPE = "escaped"
