"""The whole training: the shop is made, every lesson is solved as its hint says, and the check believes it only then."""

from __future__ import annotations

import json
import os
import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hr_centra_pipeline.cli import where
from hr_centra_pipeline.cli.main import app

SIGNED = ("--training", "--by", "anna", "--why", "asked")


def ran(*arguments: str) -> str:
    found = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return str(found.stdout)


def looked_up(name: str, row: str | None = None) -> dict[str, Any]:
    rows = json.loads(ran("train", "look-up", name, "--json"))
    return dict(next(one for one in rows if row is None or one["row"] == row))


def corrected(name: str, **fields: Any) -> None:
    ran("train", "happy-returns", name, *(f"{field}={value}" for field, value in fields.items()))


def in_centra(act: str, **given: Any) -> None:
    ran("train", "centra", act, *(f"{name}={value}" for name, value in given.items()))


def refund_corrected(kept: dict[str, Any], field: str) -> None:
    """The field becomes what is expected, and the total follows."""
    (refund,) = kept["evidence"]["refund_ids"]
    row = looked_up(refund, "refunds")
    right = Decimal(kept["evidence"]["expected"]).quantize(Decimal("0.01"))
    total = Decimal(row["total_refunded"]) + right - Decimal(row[field])
    corrected(refund, **{field: right, "total_refunded": total})


def solve(home: Path, kept: dict[str, Any], now: str) -> None:
    """As a trainee who reads the detail, looks things up and follows the task."""
    unit, return_id, order, evidence = kept["return_item_id"], kept["return_id"], kept["order_number"], kept["evidence"]
    exports = home / "sandbox" / "exports"
    match kept["lesson"]:
        case "wrong-order":
            corrected(return_id, order_number=order.removeprefix("77"))
        case "wrong-article":
            corrected(unit, sku=looked_up(order)["sku"], upc="")
        case "out-of-stock":
            named = re.search(r"the replacement (.+) is out of stock", kept["detail"])
            assert named
            in_centra("move_stock", sku=named[1], quantity=3, into=1)
        case "not-sold-here":
            in_centra("allow", subject="order", target=looked_up(unit, "items")["exchange_sku"])
            corrected(unit, condition="seen")
        case "return-by-hand":
            in_centra("delete_return", return_id=evidence["centra_return_id"])
        case "promise" | "never-graded" | "credited-and-refused":
            corrected(unit, disposition="sellable")
        case "canceled-replacement":
            ran("reorder", unit, *SIGNED)
        case "corrected-later":
            named = re.search(r"Credited as (\S+) of order", kept["detail"])
            assert named
            corrected(unit, sku=named[1])
        case "before-the-cut-over":
            ran("adopt", return_id, *SIGNED)
        case "new-grade":
            with (home / "policy.toml").open("a", encoding="utf-8") as policy:
                policy.write("\n[dispositions.refurbish]\nwarehouse_id = 2\n")
        case "lost-parcel":
            corrected(unit, warehouse_received_at=now)
        case "not-approved":
            corrected(unit, approved_at=now)
        case "goods-differ":
            refund_corrected(kept, "item_subtotal")
        case "shipping-differs":
            refund_corrected(kept, "shipping_refund")
        case "tax-differs":
            refund_corrected(kept, "tax")
        case "wrong-sum":
            row = looked_up(evidence["refund_id"], "refunds")
            parts = ("item_subtotal", "tax", "shipping_refund")
            corrected(evidence["refund_id"], total_refunded=sum(Decimal(row[part]) for part in parts))
        case "exchange-differs":
            (refund,) = evidence["refund_ids"]
            corrected(refund, total_refunded=-Decimal(looked_up(refund, "refunds")["price_difference"]))
        case "not-refunded":
            in_centra("refund_return", return_id=evidence["centra_return_id"])
        case "not-captured":
            in_centra("capture", order_number=order)
        case "refund-by-phone":
            ran("tie", str(evidence["entry_id"]), "--unrelated", *SIGNED)
        case "bad-rows":
            file = exports / evidence["source_file"]
            text = file.read_text("utf-8").replace("yesterday at noon", now).replace(",barter,", ",refund,")
            file.write_text(text, encoding="utf-8")
        case "empty-file" | "unknown-header":
            good = sorted(exports.glob("returns-2*Z.csv"))[0]
            shutil.copyfile(good, exports / evidence["source_file"])
        case "locked-shipment":
            in_centra("allow", subject="return", target=looked_up(order)["shipment"])
            corrected(unit, condition="seen")
        case "locked-stock":
            in_centra("allow", subject="stock", target=kept["sku"])
            corrected(unit, condition="seen")
        case other:
            pytest.fail(f"{other}: this test does not know how to solve it")


@pytest.mark.slow
def test_a_trainee_who_follows_the_hints_solves_every_lesson_and_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.environ", os.environ.copy())
    for name in [name for name in os.environ if name.startswith((*where.PREFIXES, "DAGSTER_"))]:
        del os.environ[name]
    os.environ["HR_CENTRA_HOME"] = str(tmp_path)
    ran("train", "start", "--seed", "3")
    home = tmp_path / "training"
    lessons = json.loads((home / "training.json").read_text("utf-8"))["lessons"]
    assert {"customer_service", "warehouse", "finance", "data"} == {one["owner_team"] for one in lessons}
    before = json.loads(ran("train", "status", "--json"))
    assert [one["lesson"] for one in before if one["is_solved"]] == []
    now = (home / "sandbox" / "clock").read_text("utf-8").strip()[:19] + "Z"
    for kept in lessons:
        solve(home, kept, now)
    found = CliRunner().invoke(app, ["train", "check", "--hours", "24", "--json"], catch_exceptions=False)
    left = {one["lesson"]: one["missing"] for one in json.loads(found.stdout) if not one["is_solved"]}
    assert left == {}
    assert found.exit_code == 0
