"""The two errors that report to a person what is wrong. ``code``: where a program decides by it, such as ``own_work``."""


class ConfigurationError(Exception):
    """A setting, policy or profile is wrong: the message names the place and the fix (exit code 2)."""

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class RunFailed(Exception):
    """The run cannot go on although the configuration is sound (exit code 1)."""

    def __init__(self, message: str = "", *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class NotOpened(RunFailed):
    """The database file could not be opened; what DuckDB says is its cause."""


class Unreachable(RunFailed):
    """A place that we read could not be reached or read: nothing was done, and the same may succeed later."""
