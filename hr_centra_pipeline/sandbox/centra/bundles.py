"""Bundles: sold as one line, stocked as their parts. A fixed one has set sections, a flexible one any number of parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from hr_centra_pipeline.sandbox.centra.centra_database import CentraRefusal, Row, rounded_down
from hr_centra_pipeline.sandbox.centra.payment_desk import ZERO
from hr_centra_pipeline.sandbox.centra.taxes import TaxDesk

_FINEST = Decimal("0.0001")


@dataclass(frozen=True)
class NewPart:
    """A part of a bundle that is ordered: so many of it in each bundle, and what one costs when it is sold alone."""

    sku: str
    unit_price: Decimal
    quantity: int = 1


class BundleDesk(TaxDesk):
    """Knows which bundles there are, and what an order line of one is made of."""

    def add_bundle(self, sku: str, name: str, sections: Sequence[Sequence[str]], *, is_flexible: bool = False) -> int:
        """A product that is sold as a bundle; answers its size's id. ``sections``: the SKUs to choose from in each; a fixed
        bundle has one part of each section, a flexible one any number of parts of any.

        Raises:
            CentraRefusal: an unknown SKU, a section without any.
        """
        with self.write():
            bundle_id = self.add_product_size(
                sku=sku, ean=None, upc=None, product_number=sku, product_name=name, variant_name="Bundle",
                size="One size", stock={},
            )  # fmt: skip
            self.insert("bundles", {"size_id": bundle_id, "is_flexible": int(is_flexible)})
            for section, skus in enumerate(sections):
                if not skus:
                    raise CentraRefusal("A section needs products", ["sections", str(section)])
                for option in skus:
                    size = self.size_by(option)
                    if size is None:
                        raise CentraRefusal(f"Product {option} can not be added", ["sections", str(section)])
                    self.insert("bundle_options", {"bundle_id": bundle_id, "section": section, "size_id": size["id"]})
            return bundle_id

    def check_parts(self, bundle: Row, parts: Sequence[NewPart], path: list[str]) -> None:
        """A line of a bundle has the parts that it may have.

        Raises:
            CentraRefusal: code -1: it has others, too many or too few.
        """
        known = self.row("select * from bundles where size_id = ?", [bundle["id"]])
        if known is None:
            raise CentraRefusal(f"Product {bundle['sku']} is not a bundle", path, -1)
        options = self.rows(
            "select section, sku from bundle_options join sizes on sizes.id = bundle_options.size_id"
            " where bundle_id = ? order by section",
            [bundle["id"]],
        )
        chosen = [part.sku for part in parts for _ in range(part.quantity)]
        unknown = [sku for sku in chosen if sku not in {option["sku"] for option in options}]
        if not chosen or unknown or any(part.quantity < 1 for part in parts):
            raise CentraRefusal(f"{(unknown or ['nothing'])[0]} is not a part of {bundle['sku']}", path, -1)
        if not known["is_flexible"]:
            left = list(chosen)
            for section in dict.fromkeys(option["section"] for option in options):
                of_it = {option["sku"] for option in options if option["section"] == section}
                found = next((sku for sku in left if sku in of_it), None)
                if found is None:
                    raise CentraRefusal(f"A section of {bundle['sku']} is empty", path, -1)
                left.remove(found)
            if left:
                raise CentraRefusal(f"{left[0]} is one part too many of {bundle['sku']}", path, -1)

    def parts_of(self, order_line_id: int) -> list[Row]:
        """The lines of a bundle's parts; none for another line."""
        return self.rows("select * from order_lines where part_of = ? order by id", [order_line_id])

    def worth_of(self, price: Decimal, parts: Sequence[NewPart], currency: str) -> list[Decimal]:
        """What one piece of each part is of its bundle's price, where a Return may name it: by the parts' own prices, whole
        smallest units, the last part the rest.
        """
        # Not documented, assumption: behaviour.bundle_part_returns
        whole = sum((part.unit_price * part.quantity for part in parts), ZERO)
        worth, before, given = [], ZERO, ZERO
        for part in parts:
            before += part.unit_price * part.quantity
            upto = rounded_down(price * before / whole, currency) if whole else ZERO
            worth.append(((upto - given) / part.quantity).quantize(_FINEST))
            given = upto
        return worth

    def returned_by_part(self, shipment_id: int, bundle_line_id: int) -> int:
        """Bundles of a line in a shipment of which some part alone is on a Return."""
        found = self.row(
            """
            select max((n + per_bundle - 1) / per_bundle) as n from (
                select order_lines.per_bundle, sum(return_lines.quantity) as n
                from return_lines
                join shipment_lines on shipment_lines.id = return_lines.shipment_line_id
                join order_lines on order_lines.id = shipment_lines.order_line_id
                where shipment_lines.shipment_id = ? and order_lines.part_of = ?
                group by order_lines.id, order_lines.per_bundle
            )
            """,
            [shipment_id, bundle_line_id],
        )
        return int(found["n"] or 0) if found else 0

    def returned_with_bundle(self, shipment_id: int, part: Row) -> int:
        """Pieces of a part's line in a shipment that are on Returns as part of their bundle."""
        found = self.row(
            "select coalesce(sum(return_lines.quantity), 0) as n from return_lines"
            " join shipment_lines on shipment_lines.id = shipment_line_id where shipment_id = ? and order_line_id = ?",
            [shipment_id, part["part_of"]],
        )
        return int(found["n"]) * int(part["per_bundle"]) if found else 0
