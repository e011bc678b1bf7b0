"""Payment entries as Centra shows them at the moment: what each did, once requests are paired with their answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from hr_centra_pipeline.core.words import GIVEN_BACK, CentraWords, Instrument, Money, Payment, Says


@dataclass(frozen=True)
class Entry:
    """One payment entry. ``did``: ``None`` for one whose words have no meaning.

    ``value``: without its sign, which is documented for cancellations only: the words say which way the money went.
    ``request_id``: the request that it answers; both are one payment.
    """

    entry_id: int
    return_id: int | None
    words: str
    value: Decimal
    did: Payment | None
    request_id: int | None = None

    @property
    def is_given(self) -> bool:
        """It gave money back, or is about to."""
        return self.did is not None and self.did.money in GIVEN_BACK


def read(shown: Sequence[dict[str, Any]], words: CentraWords) -> list[Entry]:
    """The entries of one order, or those that one call has made.

    A request and the entry that answers it are one payment, whatever the request goes on to show: of one Return (else of the
    order), by the same instrument and of the same amount, each answer answers one request that was there before it. A failure that
    finds no request takes back the earliest refund that was there before it.
    ``sources/centra/payments.sql`` reads landed entries by the same rule.
    """
    entries = [
        Entry(
            entry["id"],
            (entry.get("return") or {}).get("id"),
            f"{entry['entryType']}/{entry['status']}",
            abs(Decimal(entry["value"]["value"])),
            words.payment(entry["entryType"], entry["status"]),
        )
        for entry in shown
    ]
    groups: dict[tuple[object, ...], list[tuple[int, Payment]]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.entry_id):
        if entry.did and entry.did.step:
            about, _, _ = entry.did.step.partition("_")
            groups[about, entry.return_id, entry.did.instrument, entry.value].append((entry.entry_id, entry.did))
    answered = {request: answer for group in groups.values() for request, answer in _pairs(group)}
    requests = {answer: request for request, answer in answered.items()}
    for group in groups.values():
        for refund, failure in _taken_back(group, requests):
            answered[refund], requests[failure] = failure, refund
    return [
        replace(
            entry,
            did=_answered(entry.did) if entry.did and entry.entry_id in answered else entry.did,
            request_id=requests.get(entry.entry_id),
        )
        for entry in entries
    ]


def given(entries: Sequence[Entry]) -> Decimal:
    """What entries have given back, or are about to: what failed, or was answered by another entry, gives nothing."""
    return total(entries, *GIVEN_BACK)


def by(entries: Sequence[Entry], instrument: Instrument) -> list[Entry]:
    """Those that went by one instrument."""
    return [entry for entry in entries if entry.did and entry.did.instrument == instrument]


def total(entries: Sequence[Entry], *money: Money) -> Decimal:
    """The sum of the entries that did one of these."""
    return sum((entry.value for entry in entries if entry.did and entry.did.money in money), Decimal(0))


def _answered(request: Payment) -> Payment:
    return request._replace(money="refund_answered" if request.is_refund else "capture_answered")


def _pairs(group: Sequence[tuple[int, Payment]]) -> Iterator[tuple[int, int]]:
    """(request, answer) of one group, in the order of ids.

    An answer that finds no request open is a payment of its own. What was open at one time is paired with each other.
    """
    requests: dict[Says, list[int]] = defaultdict(list)
    answers: dict[Says, list[int]] = defaultdict(list)
    still_open = 0
    for entry_id, did in group:
        if did.step in ("capture_request", "refund_request"):
            if not still_open:
                yield from _pairs_of_episode(requests, answers)
                requests.clear()
                answers.clear()
            requests[did.says].append(entry_id)
            still_open += 1
        elif still_open:
            answers[did.says].append(entry_id)
            still_open -= 1
    yield from _pairs_of_episode(requests, answers)


def _taken_back(group: Sequence[tuple[int, Payment]], requests: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """(refund, the failure reported afterwards) of one group. A refund that only was not possible takes nothing back."""
    given: list[int] = []
    for entry_id, did in group:
        if did.money == "refunded" and did.step == "refund_answer":
            given.append(entry_id)
        elif did.takes_back and entry_id not in requests and given:
            yield given.pop(0), entry_id


def _pairs_of_episode(
    requests: Mapping[Says, Sequence[int]], answers: Mapping[Says, Sequence[int]]
) -> Iterator[tuple[int, int]]:
    """A request that shows an outcome takes the answers of that outcome; what is left answers those that show none, then any."""
    other_requests: list[int] = []
    other_answers: list[int] = []
    outcomes: tuple[Says, Says] = ("yes", "no")
    for says in outcomes:
        asked, answered = requests.get(says, []), answers.get(says, [])
        yield from zip(asked, answered, strict=False)
        other_requests += asked[len(answered) :]
        other_answers += answered[len(asked) :]
    yield from zip([*requests.get("open", []), *sorted(other_requests)], sorted(other_answers), strict=False)
