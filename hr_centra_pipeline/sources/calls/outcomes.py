"""What a failed exchange was about, and what is not a number of JSON."""

from __future__ import annotations

import ssl
from typing import NoReturn

from urllib3.exceptions import ConnectTimeoutError, NewConnectionError


def no_number(text: str) -> NoReturn:
    """For simplejson's ``parse_constant``: NaN and Infinity are refused.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{text} is not a JSON number")


def _causes(error: BaseException) -> list[BaseException]:
    """An error with what it wraps: requests keeps urllib3's in ``args``, urllib3 in ``reason``."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return found


def was_never_sent(error: BaseException) -> bool:
    """Whether a request that failed certainly did not leave."""
    return any(isinstance(cause, NewConnectionError | ConnectTimeoutError) for cause in _causes(error))


def is_about_certificate(error: BaseException) -> bool:
    """Whether the other side's certificate is not trusted."""
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
