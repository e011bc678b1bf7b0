"""Operations: what was not read in time, and what is new at either vendor."""

from __future__ import annotations

from hr_centra_pipeline.warehouse.declare import instant, table, text, whole

COVERAGE_GAPS = table(
    "operations.coverage_gaps",
    "One row per time for which a source was not read (or the exports have no file), and what caught it up.",
    ["source", "gap_from"],
    {
        "source": text("what was not read: exports, files of the exports, or an object of Centra"),
        "gap_from": instant("last time that it was read before"),
        "gap_to": instant("when it was read again; now, while it was not"),
        "hours": whole("how long it lasted", at_least=0),
        "caught_up_at": instant("when all of it was read after all; empty: part of it is not covered", null=True),
        "detail": text("what happened, and what to do when it is not caught up"),
    },
)

VENDOR_DRIFT = table(
    "operations.vendor_drift",
    "One row per column, word or field of a vendor that we do not know.",
    ["vendor", "object", "what", "name", "value"],
    {
        "vendor": text("whose", values=("happy_returns", "centra")),
        "object": text("kind of export, or object of Centra"),
        "what": text("what is new", values=("new column", "new word", "deprecated field", "unexpected shape")),
        "name": text("column or field"),
        "value": text("the word; empty for a column or field"),
        "first_seen_at": instant("when it turned up"),
        "times_seen": whole("rows or files with it", at_least=1),
        "next_step": text("what to do"),
    },
)
