"""The kinds of exception, one file each: when it opens, what closes it, whose it is (``core/exception_kinds.py`` reads them)."""
