from __future__ import annotations

import html
import re
from decimal import Decimal

import pytest
from markdown_it import MarkdownIt

from hr_centra_pipeline.orchestration import markdown
from hr_centra_pipeline.orchestration.assets import backfill_assets

ODD = [
    "a | b", "**bold** _it_ ~~no~~", "[see](https://evil.example/x)", "![x](https://evil.example/pixel.png)",
    "<img src=https://evil.example/x onerror=alert(1)>", "<b>", "`code`", "https://evil.example", "&lt;b&gt; &amp;", "back\\slash|",
    "\\| two", "# title", "- item", "$x^2$", "a@b.example",
]  # fmt: skip


def cells(text: str) -> list[list[str]]:
    """The cells of a table as a browser shows them; fails at any tag that is not the table's."""
    drawn = MarkdownIt("commonmark").enable("table").enable("strikethrough").render(text)
    assert set(re.findall(r"</?(\w+)", drawn)) == {"table", "thead", "tbody", "tr", "th", "td"}
    return [
        [html.unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", drawn, re.DOTALL)
    ]


@pytest.mark.parametrize("odd", ODD)
def test_a_text_from_data_reads_in_a_table_as_it_is(odd: str) -> None:
    assert cells(markdown.table(["what", "count"], [[odd, 3]], right=["count"])) == [["what", "count"], [odd, "3"]]


@pytest.mark.parametrize("odd", ODD)
def test_a_list_of_texts_from_data_reads_as_it_is_as_markdown_and_as_plain_lines(odd: str) -> None:
    drawn = MarkdownIt("commonmark").enable("strikethrough").render(listed := markdown.listed([odd, "2"]))
    assert [html.unescape(point) for point in re.findall(r"<li>(.*?)</li>", drawn)] == [odd, "2"]
    assert markdown.as_text(listed) == f"- {odd}\n- 2"


def test_line_ends_stay_in_their_cell_and_nothing_is_an_empty_cell() -> None:
    assert cells(markdown.table(["what", "who"], [["one\r\n\n| two |", None]])) == [
        ["what", "who"], ["one | two |", ""],
    ]  # fmt: skip


def test_a_link_that_a_reader_would_make_of_a_bare_address_is_broken() -> None:
    assert "https://" not in markdown.text("https://evil.example")
    assert "www." not in markdown.text("www.evil.example")


def test_what_a_backfill_left_unsent_is_named_as_text() -> None:
    unsent = [("credit_note", "E|R", 2, Decimal("12.50"), "waits for <b>anna|bob</b>")]
    assert cells(backfill_assets._as_markdown(unsent))[1] == [
        "credit note", "2", "12.50 E|R", "waits for <b>anna|bob</b>",
    ]  # fmt: skip
