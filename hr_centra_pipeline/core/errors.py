"""The two errors that report to a person what is wrong."""


class ConfigurationError(Exception):
    """A setting, policy or profile is wrong: the message names the place and the fix (exit code 2)."""


class RunFailed(Exception):
    """The run cannot go on although the configuration is sound (exit code 1)."""


class NotOpened(RunFailed):
    """The database file could not be opened; what DuckDB says is its cause."""


class Unreachable(RunFailed):
    """A place that we read could not be reached or read: nothing was done, and the same may succeed later."""
