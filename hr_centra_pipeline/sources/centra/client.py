"""Centra's GraphQL Integration API: named operations, exact amounts, and one of three errors."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import SecretStr

from hr_centra_pipeline.core import addresses
from hr_centra_pipeline.sources.calls.credential import Credential
from hr_centra_pipeline.sources.centra import centra_operations, judged
from hr_centra_pipeline.sources.centra.centra_errors import (
    AnswerTooLarge,
    CentraError,
    Limited,
    Misconfigured,
    Permanent,
    Transient,
    UnknownOutcome,
)
from hr_centra_pipeline.sources.centra.centra_operations import Operation
from hr_centra_pipeline.sources.centra.judged import Unreadable
from hr_centra_pipeline.sources.centra.rate_limiter import LEFT_TO_OTHERS, RateLimiter
from hr_centra_pipeline.sources.centra.transport import BeforeCall, Clock, Reply, Sleep, Transport

_READ_LIMITS = "ReadRateLimits"
_MOST_PAGES = 20_000  # of one list: two million objects
_MOST_WITHOUT_NEWS = 3  # pages in a row: an object is on one page only, so that such a list goes round


@dataclass(frozen=True)
class Answer:
    """What an operation answered. ``errors``: the ``userErrors`` of its payloads, each with ``message`` and ``path``:
    Centra refused and did nothing. ``latency`` in seconds; ``server_time``: what Centra's clock said, if it did.
    """

    data: dict[str, Any]
    extensions: dict[str, Any]
    errors: Sequence[Mapping[str, Any]]
    request_id: str
    http_status: int
    latency: float
    server_time: datetime | None = None


@dataclass(frozen=True)
class Asked:
    """One operation with its variables, to be executed together with others."""

    operation: str
    variables: Mapping[str, Any]


class CentraClient:
    """Executes our operations, paced below the shop's quotas. Not for several threads at once.

    ``before_call`` runs before each call: what the caller holds open and should not hold while it waits.
    ``left_to_others``: the part of every quota that this client does not touch. ``app_version`` and ``deprecated_fields``:
    what Centra said in its answers so far about itself, and about fields that we use.
    """

    def __init__(
        self,
        url: str,
        token: SecretStr | str,
        *,
        clock: Clock = time.time,
        sleep: Sleep = time.sleep,
        before_call: BeforeCall = lambda: None,
        left_to_others: float = LEFT_TO_OTHERS,
    ) -> None:
        self._url = url
        credential = Credential("Authorization", token, prefix="Bearer ", variable="CENTRA_TOKEN")
        self._transport = Transport(credential, vendor="Centra", clock=clock, sleep=sleep, before_call=before_call)
        self._limiter = RateLimiter(clock, sleep, left_to_others=left_to_others)
        self.requests = 0  # that reached Centra, so that a run can report what it used
        self.limited = 0  # of them those that were answered with 429
        self.app_version: str | None = None
        self.deprecated_fields: set[str] = set()

    def __repr__(self) -> str:
        return f"CentraClient({addresses.shown(self._url)!r})"

    def execute(self, operation_name: str, variables: Mapping[str, Any]) -> Answer:
        """Execute one operation; Decimals in ``variables`` are written as exact JSON numbers.

        Raises:
            Transient: nothing was done; later it may succeed.
            Permanent: nothing was done; the message names the missing permission or the mistake.
            UnknownOutcome: a mutation left and its answer did not arrive, or cannot be read.
        """
        operation = centra_operations.load(operation_name)
        self._limiter.admit(operation.name, len(operation.mutations), self.rate_limits)
        answer = self._executed(operation, variables)
        self._limiter.learn(operation.name, judged.complexity_of(answer.extensions))
        return answer

    def objects(self, operation_name: str, variables: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
        """The list that an operation answers in a field; one of it that is not an object is an empty one.

        Raises:
            Permanent: there is no list.
        Transient, Permanent: as ``execute``.
        """
        answer = self.execute(operation_name, variables)
        try:
            return judged.objects_in(answer.data, field)
        except Unreadable as error:
            raise _page_error(answer, operation_name, str(error)) from None

    def execute_together(
        self, asked: Sequence[Asked], *, reserved: bool = False, gate: BeforeCall = lambda: None
    ) -> list[Answer | CentraError]:
        """Execute several operations of one kind in one request, in order; answers an outcome for each of them.

        What Centra refused is an answer with ``errors``, as ever; the others go on. When the request fails half way, those
        without an answer of their own are in doubt. ``reserved``: its mutations were reserved before; then a 429 is not
        waited out, but reported as ``Limited``. ``gate`` is passed right before a request leaves; what it raises comes out.
        """
        if len(asked) == 1:
            operation = centra_operations.load(asked[0].operation)
            variables = dict(asked[0].variables)
        else:
            operation = centra_operations.together(tuple(one.operation for one in asked))
            variables = {
                centra_operations.at_place(name, place): value
                for place, one in enumerate(asked)
                for name, value in one.variables.items()
            }
        mutations = 0 if reserved else len(operation.mutations)
        try:
            self._limiter.admit(operation.name, mutations, self.rate_limits, times=len(asked))
            reply = self._sent(operation, variables, waits_out_limits=not reserved, gate=gate)
        except Limited as limited:
            self._limiter.distrust()
            return [limited] * len(asked)
        except CentraError as error:
            return [error] * len(asked)
        complexity = judged.complexity_of(judged.extensions_of(reply.body))
        if complexity:
            self._limiter.learn(operation.name, complexity, times=len(asked))
        return [self._outcome(one, place, operation, reply) for place, one in enumerate(asked)]

    def reserve(self, mutations: int) -> None:
        """Return when so many mutations fit below the quotas, and keep them.

        Raises:
            Transient, Permanent: the quotas could not be read.
        """
        self._limiter.reserve(mutations, self.rate_limits)

    def give_back(self, mutations: int) -> None:
        """Reserved mutations that were not made."""
        self._limiter.give_back(mutations)

    def seconds_for(self, mutations: int) -> float:
        """How long so many mutations will take with the present quotas."""
        return self._limiter.seconds_for(mutations)

    def most_at_once(self) -> int:
        """How many mutations can be reserved together."""
        return self._limiter.most_at_once()

    def ask(self, name: str, text: str, variables: Mapping[str, Any]) -> Answer:
        """Send a query whose text is not one of our operations, and that changes nothing: for ``doctor``.

        Raises:
            Transient, Permanent: as ``execute``.
        """
        self._limiter.admit(name, 0, self.rate_limits)
        return self._executed(Operation(name, text, (), ()), variables)

    def rate_limits(self) -> list[dict[str, Any]]:
        """The six quota buckets as they are now."""
        operation = centra_operations.load(_READ_LIMITS)
        reply = self._sent(operation, {})
        answer = self._judged(operation, reply)
        try:
            return judged.limits_in(answer.data)
        except Unreadable as error:
            problem = f"its quotas cannot be read: {error}. Nothing was changed; try again later."
            raise self._transport.refused(Transient, operation.name, problem, reply) from None

    def pages(
        self, operation_name: str, variables: Mapping[str, Any], connection: str, page_size: int
    ) -> Iterator[list[dict[str, Any]]]:
        """The nodes of a connection, page by page; pages that cost too much of the quota at once, or are too large, become
        smaller. A node that is not an object is an empty one.

        Raises:
            Permanent: a page cannot be read, or shows no way on to the next one, or the pages never end; that page is not
            yielded.
        Transient, Permanent: as ``execute``.
        """
        after: str | None = None
        cursors: set[str] = set()
        known: set[object] = set()
        without_news = 0
        while True:
            try:
                answer = self.execute(operation_name, {**variables, "first": page_size, "after": after})
            except AnswerTooLarge:
                if page_size == 1:
                    raise
                page_size = max(1, page_size // 8)
                continue
            number = len(cursors) + 1
            try:
                nodes = judged.nodes_of(answer.data.get(connection))
                cursor = judged.cursor_after(answer.data[connection])
            except Unreadable as error:
                raise _page_error(
                    answer, operation_name, f"page {number} has no {connection} to read: {error}"
                ) from None
            news = {key for node in nodes if isinstance(key := node.get("id"), int | str)} - known
            known |= news
            without_news = 0 if news else without_news + 1
            if cursor is not None and (
                cursor in cursors or without_news == _MOST_WITHOUT_NEWS or number == _MOST_PAGES
            ):
                problem = (
                    f"page {number} of {connection} ends at the cursor {cursor!r}: it does not lead to the next page"
                )
                raise _page_error(answer, operation_name, problem)
            yield nodes
            if cursor is None:
                return
            after = cursor
            cursors.add(cursor)
            page_size = self._limiter.fitting_size(operation_name, page_size)

    def _sent(
        self,
        operation: Operation,
        variables: Mapping[str, Any],
        *,
        waits_out_limits: bool = True,
        gate: BeforeCall = lambda: None,
    ) -> Reply:
        try:
            reply = self._transport.send(
                "POST",
                self._url,
                operation=operation.name,
                writes=operation.is_mutation,
                body={"query": operation.text, "operationName": operation.name, "variables": dict(variables)},
                waits_out_limits=waits_out_limits,
                gate=gate,
            )
        finally:
            self.requests, self.limited = self._transport.requests, self._transport.limited
        extensions = judged.extensions_of(reply.body)
        self.app_version = judged.app_version_of(extensions) or self.app_version
        self.deprecated_fields |= judged.deprecated_in(extensions)
        return reply

    def _executed(self, operation: Operation, variables: Mapping[str, Any]) -> Answer:
        return self._judged(operation, self._sent(operation, variables))

    def _judged(self, operation: Operation, reply: Reply) -> Answer:
        if errors := judged.errors_in(reply.body):
            raise self._error_of(operation, reply, errors)
        data = reply.body.get("data")
        if not isinstance(data, dict) or any(data.get(field) is None for field in operation.mutations):
            raise self._without_data(operation, reply)
        try:
            return _answer(data, operation.mutations, reply)
        except Unreadable as error:
            raise self._unreadable(operation, reply, error) from None

    def _outcome(self, asked: Asked, place: int, whole: Operation, reply: Reply) -> Answer | CentraError:
        """What became of one operation of a request that was answered."""
        operation = centra_operations.load(asked.operation)
        alone = whole.name == operation.name and whole.fields == operation.fields
        keys = [field if alone else centra_operations.at_place(field, place) for field in operation.fields]
        data, errors = reply.body.get("data"), judged.errors_in(reply.body)
        mine = [error for error in errors if judged.path_of(error)[:1] and judged.path_of(error)[0] in keys]
        if isinstance(data, dict) and all(data.get(key) is not None for key in keys) and not mine:
            own = {field: data[key] for field, key in zip(operation.fields, keys, strict=True)}
            try:
                return _answer(own, operation.mutations, reply)
            except Unreadable as error:
                return self._unreadable(operation, reply, error)
        if errors:
            return self._error_of(operation, reply, mine or errors, is_one_of_many=not alone)
        return self._without_data(operation, reply)

    def _unreadable(self, operation: Operation, reply: Reply, error: Unreadable) -> CentraError:
        """Of a mutation: reading answers have nothing that is judged here."""
        problem = f"{error}. Whether it was done is not known: it is looked up before anything is sent again."
        return self._transport.refused(UnknownOutcome, operation.name, problem, reply)

    def _without_data(self, operation: Operation, reply: Reply) -> CentraError:
        kind = UnknownOutcome if operation.is_mutation else Transient
        return self._transport.refused(kind, operation.name, "the answer holds no data. Look before repeating.", reply)

    def _error_of(
        self, operation: Operation, reply: Reply, errors: Sequence[Mapping[str, Any]], *, is_one_of_many: bool = False
    ) -> CentraError:
        told = "; ".join(judged.text_of_error(error) for error in errors)[:1000]
        is_permission = all(judged.category_of(error) == "authorization" for error in errors)
        # A request that is refused before it is executed has no "data" at all; with it, a mutation may have been done. Of
        # several mutations the first may be done although the permission of the second is missing.
        was_executed = reply.body.get("data") is not None or (
            "data" in reply.body and (is_one_of_many or not is_permission)
        )
        if operation.is_mutation and was_executed:
            problem = f"{told}. Whether it was done is not known: it is looked up before anything is sent again."
            return self._transport.refused(UnknownOutcome, operation.name, problem, reply)
        if is_permission:
            problem = f"{told}. Give the token this permission in Centra, or make a new token with it."
            return self._transport.refused(Misconfigured, operation.name, problem, reply)
        problem = f"{told}. `hr-centra doctor` checks our operations against your Centra."
        return self._transport.refused(Permanent, operation.name, problem, reply)


def _answer(data: dict[str, Any], mutations: Sequence[str], reply: Reply) -> Answer:
    return Answer(
        data=data,
        extensions=judged.extensions_of(reply.body),
        errors=[error for field in mutations for error in judged.user_errors(data[field])],
        request_id=reply.request_id,
        http_status=reply.http_status,
        latency=reply.latency,
        server_time=reply.server_time,
    )


def _page_error(answer: Answer, operation_name: str, problem: str) -> Permanent:
    return Permanent(
        f"{problem}. Reading stopped; report it to Centra with the request id.",
        operation=operation_name,
        request_id=answer.request_id,
        http_status=answer.http_status,
    )
