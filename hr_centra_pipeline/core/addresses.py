"""Addresses with a password or token in them: how they are shown, and what must never come out of a message about one."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

HIDDEN = "…"
_RESERVED = "/ ? # [ ] @ :"
_NETLOC = re.compile(r"([^/?#]*)(.*)", re.DOTALL)
_PATH = re.compile(r"([^?#]*)(.*)", re.DOTALL)
_SHORTEST = 3  # characters of a part that is looked for in a text: shorter ones are in any word


def shown(address: str) -> str:
    """An address without its password, its query and its fragment, however it is misspelt: rather too little than too much."""
    head, sign, rest = address.partition("://")
    if not sign:
        head, rest = "", address
    before, at, _ = rest.rpartition("@")
    netloc, after = _NETLOC.match(rest).groups()  # type: ignore[union-attr]
    if "@" in after and re.search(r"[:?#]", before):
        return f"{head}{sign}{HIDDEN}"  # a password with a "/" in it, a token with an "@"? Nobody knows where it begins
    who, at, host = netloc.rpartition("@")
    user, colon, _ = who.partition(":")
    is_name = colon or head.lower() in ("sftp", "ssh", "ftp", "")
    known = f"{user if is_name and '@' not in user else HIDDEN}{colon and f':{HIDDEN}'}{at}" if at else ""
    path, query = _PATH.match(after).groups()  # type: ignore[union-attr]
    return f"{head}{sign}{known}{host}{path}{query and HIDDEN}"


def problem(address: str) -> str | None:
    """Why it is not clear which part of an address is its password; ``None``: it is. Nothing of it is repeated."""
    _, sign, rest = address.partition("://")
    if not sign:
        return None
    netloc, after = _NETLOC.match(rest).groups()  # type: ignore[union-attr]
    who, at, host = netloc.rpartition("@")
    is_odd_port = not re.fullmatch(r"[^:]*(:\d{0,5})?|\[[^\]]*\](:\d{0,5})?", host)
    has_secret = ":" in (who if at else host)
    if (is_odd_port and "@" in rest) or "@" in who or who.count(":") > 1 or (has_secret and "@" in after):
        return (
            f"a user name or password in it has one of the characters {_RESERVED}: write them percent-encoded "
            "(/ as %2F, @ as %40, : as %3A, ? as %3F, # as %23, % as %25)."
        )
    try:
        urlsplit(address).port  # noqa: B018 - reading it checks it
    except ValueError:
        return "its host or port is not valid."
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself, without a look at the network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def without_login(address: str) -> tuple[str, dict[str, str]]:
    """An address without user and password, and these two, as they are once decoded."""
    head, sign, rest = address.partition("://")
    netloc, after = _NETLOC.match(rest).groups()  # type: ignore[union-attr]
    who, at, host = netloc.rpartition("@")
    if not sign or not at:
        return address, {}
    user, colon, password = who.partition(":")
    login = {"username": unquote(user), **({"password": unquote(password)} if colon else {})}
    return f"{head}{sign}{host}{after}", login


def hide(text: str, *addresses: str) -> str:
    """A text of others without anything secret of these addresses."""
    for address in addresses:
        if not address:
            continue
        text = text.replace(address, shown(address))
        for part in sorted(_secrets(address), key=len, reverse=True):
            text = text.replace(part, HIDDEN)
    return text


def _secrets(address: str) -> set[str]:
    """Parts of an address that are secret, as written, decoded, and cut where a parser may have cut them."""
    rest = address.partition("://")[2] or address
    who, at, _ = rest.rpartition("@")
    password = who.partition(":")[2] if at else ""
    query = re.split(r"[?#]", rest, maxsplit=1)[1] if re.search(r"[?#]", rest) else ""
    values = [value for pair in re.split(r"[&#]", query) for value in (pair, pair.partition("=")[2])]
    found = {password, query, *values, *re.split(r"[/?#@:]", password)}
    found |= {unquote(part) for part in found}
    return {part for part in found if len(part) >= _SHORTEST}
