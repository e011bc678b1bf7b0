"""Personal data in bodies of webhook deliveries: a person who is to be forgotten, and addresses that are old enough.

What is erased leaves an empty text, which landing reads as "not said": a delivery that lands again changes no person. The hash of
the original body stays beside it, so that it is known which delivery it was.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from hr_centra_pipeline.core.settings import Settings
from hr_centra_pipeline.inbox import inbox_backup
from hr_centra_pipeline.inbox.inbox_store import Inbox, StoreFailed
from hr_centra_pipeline.oversight.person_files import without_addresses

_log = logging.getLogger(__name__)

Erase = Callable[[bytes], bytes]

_MOST_UNPACKED = 64 << 20
# Any address, in a JSON text or a form: a run of what addresses consist of, with an @ that has something on either side. Around it
# are quotes, blanks, marks of a form, and their escapes, which are read first so that no half of one is taken for a part of it.
_AT = rb"@|%40|\\u0040|&#0{0,4}64;|&#[xX]0{0,4}40;"
_RUN = re.compile(
    rb"%(?!40|2[BbDdEe]|5[Ff])[0-9A-Fa-f]{2}"
    rb"|((?:[A-Za-z0-9!#$*+/?^_`|~.\-\x80-\xff]|%(?:2[BbDdEe]|5[Ff])|\\u[0-9a-fA-F]{4}|" + _AT + rb")+)"
)
_IS_ADDRESS = re.compile(rb"[^@](?:" + _AT + rb")[^@]")


def of_person(emails: Sequence[str]) -> Erase:
    """Addresses of one person, however they are spelled."""
    erased = without_addresses(emails)
    return lambda body: _also_packed(body, erased)


def of_anyone(body: bytes) -> bytes:
    """Whatever looks like an e-mail address."""
    return _also_packed(body, _without_any)


def _without_any(text: bytes) -> bytes:
    """In one pass over it, whatever it is."""
    return _RUN.sub(lambda found: b"" if found[1] and _IS_ADDRESS.search(found[1]) else found[0], text)


def _also_packed(body: bytes, erased: Erase) -> bytes:
    """A packed body cannot lose a part of itself: it loses everything."""
    if body[:2] != b"\x1f\x8b":
        return erased(body)
    try:
        text = zlib.decompressobj(wbits=31).decompress(body, _MOST_UNPACKED)
    except zlib.error:
        return erased(body)
    return body if erased(text) == text else b""


def holding(settings: Settings, emails: Sequence[str]) -> int:
    """How many deliveries hold one of these addresses, backups left out.

    Raises:
        StoreFailed: the inbox cannot be read.
    """
    erase, inbox = of_person(emails), Inbox.open(settings.inbox)
    try:
        return sum(erase(body) != body for body in inbox.bodies()) if emails else 0
    finally:
        inbox.close()


def forget(settings: Settings, emails: Sequence[str], now: datetime) -> dict[str, int]:
    """Erase a person from the inbox and its backups; answers how many deliveries were changed, by place.

    Raises:
        StoreFailed: one of them cannot be read or written.
    """
    if not emails:
        return {}
    erase = of_person(emails)
    places = {"inbox": settings.inbox, **{f"backups/{one.name}": str(one) for one in backups_of(settings)}}
    found = {}
    for name, address in places.items():
        inbox = Inbox.open(address)
        try:
            found[name] = inbox.erase(erase, now)
        finally:
            inbox.close()
    return {name: number for name, number in found.items() if number}


def backups_of(settings: Settings) -> list[Path]:
    """Copies of the inbox beside those of the database."""
    return inbox_backup.existing(settings.inbox, settings.database.parent / "backups")


def erase_old(settings: Settings, keep_days: int, now: datetime) -> int:
    """Erase all addresses in bodies that are older; answers how many were changed. A store that cannot be reached waits."""
    inbox = Inbox.open(settings.inbox)
    try:
        return inbox.erase_old(of_anyone, now, now - timedelta(days=keep_days))
    except StoreFailed as error:
        _log.warning("%s Addresses older than [privacy] keep_days are erased by a later sync.", error)
        return 0
    finally:
        inbox.close()
