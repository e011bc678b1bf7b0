"""Export rows, files and header profiles made at random: each row is landed, repeated or quarantined by name, each file and
profile is taken or refused by name; nothing escapes a stage."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from hr_centra_pipeline.core.errors import ConfigurationError
from hr_centra_pipeline.sources.happy_returns.export_intake import ingest
from hr_centra_pipeline.sources.happy_returns.export_profiles import Profile, load_profiles
from hr_centra_pipeline.sources.happy_returns.export_staging import refresh
from hr_centra_pipeline.warehouse import migrate
from hr_centra_pipeline.warehouse.database import Warehouse

NOW = datetime(2026, 9, 30, 12, tzinfo=UTC)
_ROWS_OF_A_FILE = 200
_FILES_OF_A_ROUND = 20
SHARE = 2.0

_TEXTS = [
    "", " ", "\u200b", "IT-1", "IT-2", "RT-1", "RT-2", "1001", "#1001", "A-1-3", "refund", "gift-card", "exchange", "barter",
    "started", "approved", "issued", "pending", "failed", "EUR", "SEK", "eur", "item", "return", "sellable", "null", "#N/A",
    "5.32494E+12", "1001.0", '["IT-1","IT-2"]', "{}", "HR(1", "a*b?[c]", "%s%n", "'; drop table x; --", "[/red]", "\x00", "\x1b[2J",
    "line\nbreak", "cr\rhere", '"', '""', ",", ";", "\t", "\ud7ff", "\U0001f45f", "é", "e\u0301", "=1+1", "x" * 250, "9" * 5000,
]  # fmt: skip
_TIMES = [
    "2026-09-20T08:00:00Z", "2026-09-20 08:00:00", "2026-09-20", "2026-09-20T08:00:00.123456789+02:00", "2026-09-20 08:00 PST",
    "2026-09-20 08:00:00-07", "+99:00", "2026-02-30", "infinity", "epoch", "0001-01-01", "2062-01-01T00:00:00Z", "46285.333",
    "20.09.2026 08:00", "1790000000", "2026-09-20T08:00:00Z ", "2026-09-20 (BC)", "2026-09-20 08:00:00+99:00",
]  # fmt: skip
_AMOUNTS = [
    "100.00",
    "1.00001",
    "1e3",
    "NaN",
    "-5",
    "1.234,56",
    "10 EUR",
    "€5",
    "99999999999999",
    "9" * 40,
    "0x10",
    "1_000",
    "+1.5",
]
_NAMES = [
    "items-{n}.csv", "items[{n}].csv", "items_2026-09-01_2026-09-{n}.csv", "a*{n}?.csv", "line\nbreak{n}.csv", "quote'\"{n}.csv",
    "%20{n}.csv", "items {n}.csv", "ä{n}.csv", "{n}.txt", "{n}.tsv", "x{n}.zip", "20311205_{n}.csv", "\udcff{n}.csv",
]  # fmt: skip


def run(count: int, seed: int) -> Counter[str]:
    """Feed ``count`` rows, files and profiles of every make; answers what became of each. What is fed beyond is not counted.

    Raises:
        AssertionError: a row or file vanished, or was set aside without a reason.
        Exception: whatever escaped a stage.
    """
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        warehouse = Warehouse(home / "warehouse.duckdb")
        migrate.prepare(warehouse)
        profiles = load_profiles(home / "none")
        rounds = 0
        while outcomes.total() < count:
            folder = home / f"exports-{rounds}"
            folder.mkdir()
            delivered = 0
            for number in range(_FILES_OF_A_ROUND):
                rows = chance.choice([1, 3, _ROWS_OF_A_FILE])
                delivered += _deliver(folder, chance, profiles, number + rounds * _FILES_OF_A_ROUND, rows)
                outcomes[_profile(home, chance, f"{rounds}-{number}")] += 1
            report = ingest(warehouse, str(folder), profiles, NOW)
            assert report.files == delivered, (report, delivered)
            again = ingest(warehouse, str(folder), profiles, NOW)
            assert again.files == 0, again
            refresh(warehouse, NOW)
            outcomes["landed"] += report.rows_landed
            outcomes["repeated"] += report.rows_repeated
            outcomes["quarantined by name"] += report.rows_rejected
            outcomes["file refused by name"] += report.refused_files
            outcomes["file taken"] += report.files - report.refused_files
            rounds += 1
        _prove(warehouse)
    for outcome, times in outcomes.most_common():
        outcomes[outcome] -= min(max(times - 1, 0), outcomes.total() - count)
    return outcomes


def _prove(warehouse: Warehouse) -> None:
    """Each file adds up, each row that was set aside has a reason of bounded length, each landed row is staged."""
    with warehouse.transaction() as connection:
        for what, sql in {
            "a file does not add up": "from landing.files where rows_read <> rows_landed + rows_rejected + rows_repeated",
            "a file was refused for a reason of ours": "from landing.files where problem like 'cannot be landed%'",
            "a rejected row is not in quarantine": """
                from (
                    select batch, rows_rejected, (select count(*) from quarantine.rejected_rows as rows
                        where rows.batch = files.batch and source_line is not null) as rejected
                    from landing.files as files
                ) where rows_rejected <> rejected
            """,
            "a reason is missing or endless": "from quarantine.rejected_rows where length(reason) not between 5 and 5000",
            "a text is endless": "from quarantine.rejected_rows where length(raw_text) > 5000",
            "a unit is not staged": """
                from landing.happy_returns_items where return_item_id not in (select return_item_id from staging.return_items)
            """,
        }.items():
            found = connection.execute(f"{sql} limit 3").fetchall()
            assert not found, (what, found)


def _row(chance: random.Random, profile: Profile, kind: str) -> dict[str, str]:
    row = {}
    spoiled = chance.random() < 0.3
    unit = chance.randrange(500)
    for ours, theirs in profile.columns[kind].items():  # type: ignore[index]
        if spoiled and chance.random() < 0.1:
            row[theirs] = chance.choice(_TEXTS + _TIMES + _AMOUNTS)
        elif ours.endswith("_at"):
            row[theirs] = chance.choice([*_TIMES[:3], "", "", "2026-09-21T08:00:00Z"])
        elif ours in ("item_id", "return_id", "order_number", "refund_id", "shipment_id"):
            row[theirs] = f"{ours[0]}{unit if ours in ('item_id', 'refund_id') else unit // 2}"
        else:
            row[theirs] = _good(chance, ours)
    return row


def _good(chance: random.Random, column: str) -> str:
    known = {
        "refund_type": ["refund", "gift-card", "exchange"], "refund_status": ["started", "approved"],
        "status": ["issued", "failed"],
        "currency": ["EUR", "SEK"], "fee_basis": ["item", "return", ""], "total_refunded": ["100.00", "5"],
        "unit_offset": ["0", "1", ""], "line_quantity": ["2", ""], "items_total": ["1", "2"], "sku": ["SKU-1", "SKU-2"],
    }  # fmt: skip
    return chance.choice(known.get(column, [""]))


def _deliver(folder: Path, chance: random.Random, profiles: list[Profile], number: int, rows: int) -> int:
    """Write one file; answers 1, or 0 if the file system does not take its name."""
    profile = chance.choice(profiles)
    kind = chance.choice(list(profile.columns))
    header = list(profile.columns[kind].values())
    if chance.random() < 0.05:
        header.append(chance.choice([*_TEXTS[:40], header[0]]))
    data = [_row(chance, profile, kind) for _ in range(rows)]
    name = chance.choice(_NAMES).format(n=number)
    if chance.random() < 0.15:
        name = f"{number}{chance.choice(['.jsonl', '.json'])}"
        made = [{key: _odd_json(chance, value) for key, value in row.items()} for row in data]
        text = json.dumps(made) if chance.random() < 0.3 else "".join(json.dumps(row) + "\n" for row in made)
        content = text.encode()
    else:
        buffer = io.StringIO()
        writer = csv.DictWriter(
            buffer, dict.fromkeys(header), restval="", lineterminator=chance.choice(["\n", "\n", "\r\n", "\r"]),
            delimiter=profile.delimiter, extrasaction="ignore",
        )  # fmt: skip
        writer.writeheader()
        writer.writerows(data)
        content = buffer.getvalue().encode("utf-8", "surrogatepass")
    content = _spoil(chance, content)
    if chance.random() < 0.1 and not name.endswith(".zip"):
        name, content = name + ".gz", gzip.compress(content)
        content = content[: chance.randrange(1, len(content))] if chance.random() < 0.3 else content
    try:
        (folder / name).write_bytes(content)
    except (OSError, UnicodeError):
        return 0
    return 1


def _odd_json(chance: random.Random, value: str) -> object:
    if chance.random() > 0.03:
        return value
    return chance.choice([None, 5, 1.5, True, [value], [value, value], {"id": value}, [[value]], 10**40])


def _spoil(chance: random.Random, content: bytes) -> bytes:
    """Some files are cut, get bytes of no text, another encoding or a mark; most are as they are."""
    dice = chance.random()
    place = chance.randrange(len(content)) if content else 0
    if dice < 0.05:
        return content[:place]
    if dice < 0.10:
        return content[:place] + bytes(chance.randrange(256) for _ in range(chance.randrange(1, 20))) + content[place:]
    if dice < 0.12:
        return b"\xef\xbb\xbf" + content
    if dice < 0.14:
        return content.decode("utf-8", "replace").encode(chance.choice(["utf-16", "utf-16-le", "latin-1"]), "replace")
    if dice < 0.16:
        return content[:place] + chance.choice([b'"', b"\r", b"\n", b"\0", b"\n\n\n", b'\n"']) + content[place:]
    return content


def _profile(home: Path, chance: random.Random, name: str) -> str:
    """A profile that is nearly right, in a folder of its own: it is loaded, or refused with the name of its file."""
    folder = home / f"profiles-{name}"
    folder.mkdir()
    text = (
        f'name = {json.dumps(chance.choice(_TEXTS))}\ndelimiter = "{chance.choice([",", ";", "::", ""])}"\n'
        f"[times]\nzone = {json.dumps(chance.choice(['UTC', 'Europe/Berlin', 'PST8PDT', 'Mars', '../UTC', '', 'localtime']))}\n"
        f"format = {json.dumps(chance.choice(['%d.%m.%Y %H:%M', '%Z', '%Q', '%', '', '%z', *_TEXTS]))}\n"
        '[columns.shipments]\nshipment_id = "Sammelsendung"\n'
        f"item_id = {json.dumps(chance.choice(['Teil', 'Sammelsendung', *_TEXTS]))}\n"
        f"[words.{chance.choice(['carrier', 'sku', 'departed_at', 'colour', 'refund_type'])}]\n"
        f"{json.dumps(chance.choice(_TEXTS))} = {json.dumps(chance.choice([*_TEXTS, 'refund']))}\n"
    )
    file = folder / "own.toml"
    file.write_bytes(_spoil(chance, text.encode("utf-8", "replace")))
    try:
        profiles = load_profiles(folder)
    except ConfigurationError as error:
        if "own.toml" not in str(error):
            raise
        return "profile refused by name"
    own = [profile for profile in profiles if profile.columns.keys() == {"shipments"}]
    _rows_of(home, chance, own, name)
    return "profile taken"


def _rows_of(home: Path, chance: random.Random, own: list[Profile], name: str) -> None:
    """A profile that was taken reads rows without an escape, too; few are tried, since each needs a database."""
    if not own or chance.random() > 0.02:
        return
    folder = home / f"own-{name}"
    folder.mkdir()
    header = own[0].columns["shipments"]
    data = io.StringIO()
    writer = csv.writer(data, delimiter=own[0].delimiter, lineterminator="\n")
    writer.writerow(header.values())
    writer.writerows([chance.choice(_TEXTS + _TIMES) for _ in header] for _ in range(20))
    (folder / "rows.csv").write_bytes(data.getvalue().encode("utf-8", "replace"))
    warehouse = Warehouse(folder / "own.duckdb")
    migrate.prepare(warehouse)
    report = ingest(warehouse, str(folder), own, NOW)
    assert report.files == 1, report
