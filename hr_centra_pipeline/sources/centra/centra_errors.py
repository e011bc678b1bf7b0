"""What can go wrong with a call to Centra: three kinds, distinguished by what the caller may do next."""

from __future__ import annotations

from hr_centra_pipeline.core.errors import RunFailed
from hr_centra_pipeline.sources.centra.texts import without_contacts


class CentraError(RunFailed):
    """A call failed. ``message`` says what happened and what to do; it holds no credential and no contact.

    A GraphQL server quotes what it was sent when that does not fit its schema, an e-mail address for one.
    """

    def __init__(
        self,
        message: str,
        *,
        operation: str,
        request_id: str | None = None,
        http_status: int | None = None,
        vendor: str = "Centra",
    ) -> None:
        self.message = message = without_contacts(message)
        self.operation = operation
        self.request_id = request_id
        self.http_status = http_status
        self.vendor = vendor
        known = [
            f"HTTP {http_status}" if http_status is not None else "",
            f"request {request_id}" if request_id else "",
        ]
        told = ", ".join(part for part in known if part)
        super().__init__(f"{vendor} {operation}: {message}{f' ({told})' if told else ''}")


class Transient(CentraError):
    """Certainly nothing was done, and the same call may succeed later."""


class Limited(Transient):
    """The quota was used up (by others, as a rule) before a writing call was executed. ``seconds``: what Centra asks to wait."""

    seconds: float = 0.0


class AnswerTooLarge(Transient):
    """The answer to a reading call has more bytes than we take: a shorter list may fit."""


class Permanent(CentraError):
    """Certainly nothing was done, and the same call will fail again until somebody changes something."""


class UnknownOutcome(CentraError):
    """A writing call left and nobody knows whether it was done: look before it is sent again."""


class Misconfigured(Permanent):
    """One of our settings is wrong: the token, its permissions, a key or an address. Every other call will fail, too."""
