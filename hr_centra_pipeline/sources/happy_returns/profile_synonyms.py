"""How others call our columns and words, in a few languages: what a draft of a header profile proposes by name."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_COLUMNS: Mapping[str, str] = {
    "return_id": (
        "return, return no, return number, rma id, retoure, retouren id, retourennummer, retour, retour id, retur, retur id, "
        "devolucion, reso, return reference"
    ),
    "order_number": (
        "order, order no, order id, bestellung, bestellnummer, auftrag, auftragsnummer, commande, numero de "
        "commande, pedido, ordine, ordernummer, order nr, bestelling"
    ),
    "express_code": "rma, rma number, return code, dropoff code, abgabecode, code retour, kod",
    "created_at": "created, created on, angelegt am, erstellt am, cree le, creado, skapad, aangemaakt",
    "refund_status": "status, return status, state, retourenstatus, statut, estado, tillstand",
    "dropoff_method": (
        "method, return method, drop off method, dropoff, rueckgabeweg, ruckgabeweg, mode de retour, metodo, "
        "returmetod, retourmethode"
    ),
    "items_total": "units, items, pieces, teile, anzahl, nombre d articles, antal",
    "customer_email": "email, e mail, customer email, mail, e mail adresse, courriel, correo, e post",
    "updated_at": (
        "updated, updated on, last modified, stand, geaendert am, geandert am, mis a jour le, actualizado, "
        "uppdaterad, gewijzigd"
    ),
    "item_id": "item, unit, unit id, return item id, teil, teile id, article retourne, rad id, regel",
    "order_line_item_id": "line, line id, order line, line item id, position, ligne, linea, orderrad",
    "sku": (
        "article, article number, item number, product number, artikel, artikelnummer, reference article, "
        "referencia, artikelnr"
    ),
    "upc": "ean, gtin, barcode, streckkod",
    "product_name": "product, title, produkt, bezeichnung, produit, producto",
    "return_reason": "reason, grund, retourengrund, motif, motivo, orsak, reden",
    "refund_type": (
        "type, outcome, wish, refund kind, resolution, wunsch, art, erstattungsart, type de remboursement, "
        "tipo, typ, atgard"
    ),
    "exchange_sku": "replacement sku, exchange for, ersatzartikel, article d echange, utbytesartikel",
    "received_at": "received, scanned at, dropped off, angenommen am, recu le, recibido, mottagen, ontvangen",
    "warehouse_received_at": "in warehouse, warehouse scan, im lager am, recu en entrepot, i lager",
    "approved_at": "approved, approved on, freigegeben am, genehmigt am, approuve le, aprobado, godkand, goedgekeurd",
    "disposition": "grade, quality, condition grade, befund, zustand, etat, estado del articulo, skick, kwaliteit",
    "refund_id": (
        "refund, refund no, refund number, erstattung, erstattungsnummer, remboursement, reembolso, "
        "aterbetalning, terugbetaling"
    ),
    "issued_at": "issued, refunded at, refund date, erstattet am, rembourse le, datum",
    "status": "refund status, state, statut, estado, tillstand",
    "currency": "cur, waehrung, wahrung, devise, moneda, valuta",
    "item_subtotal": "subtotal, net, warenwert, warenwert netto, sous total, delsumma",
    "discount": "rabatt, remise, descuento, korting, rabatt netto",
    "tax": "vat, steuer, mwst, tva, iva, moms, btw",
    "shipping_refund": "shipping, freight, versand, versandkosten, livraison, envio, frakt, verzending",
    "processing_fee": "fee, handling fee, gebuehr, gebuhr, frais, tasa, avgift, kosten",
    "total_refunded": "total, amount, refund amount, amount refunded, betrag, summe, montant, importe, belopp, bedrag",
    "shipment_id": "shipment, outbound shipment, asn, sammelsendung, sendung, expedition, envio id, sandning, zending",
    "departed_at": "departed, shipped at, departure, abgang, depart, avgang",
    "carrier": "spediteur, transporteur, transportista, fraktforare",
    "tracking": "tracking number, sendungsnummer, numero de suivi, kollinummer",
    "bag_barcode": "bag, bag id, beutel, sac, pase",
}  # fmt: skip
_WORDS: Mapping[str, Mapping[str, str]] = {
    "refund_type": {
        "refund": "refund, money back, erstattung, geld, remboursement, reembolso, aterbetalning, terugbetaling",
        "gift-card": (
        "gift card, giftcard, store credit, voucher, gutschein, bon d achat, tarjeta regalo, presentkort, "
        "cadeaubon"
    ),
        "exchange": "exchange, swap, umtausch, echange, cambio, byte, utbyte, ruil",
    },
    "refund_status": {
        "started": "started, created, open, angelegt, cree, creada, paborjad, skapad",
        "dropped-off": "dropped off, in transit, received, abgegeben, depose, entregada, inlamnad, ingeleverd",
        "approved": "approved, completed, freigegeben, genehmigt, approuve, aprobada, godkand, goedgekeurd",
        "partly-approved": "partly approved, partially approved, teilweise freigegeben, partiellement approuve",
        "expired": "expired, verfallen, abgelaufen, expire, caducada, utgangen, verlopen",
        "failed": "failed, rejected, gescheitert, fehlgeschlagen, echoue, fallida, misslyckad",
    },
    "status": {
        "issued": "issued, paid, completed, done, erstattet, bezahlt, emis, emitido, betald, betaald",
        "pending": "pending, open, waiting, offen, en attente, pendiente, vantar",
        "failed": "failed, gescheitert, fehlgeschlagen, echoue, fallido, misslyckad",
    },
    "dropoff_method": {
        "return-bar": "return bar, abgabestelle, point retour",
        "in-store": "in store, store, filiale, magasin, tienda, butik, winkel",
        "retailer-store": "retailer store",
        "mail-nolabel": "mail nolabel",
        "mail-nobox-nolabel": "mail nobox nolabel",
        "mail-shopper-provided": "mail shopper provided",
        "returnless": "returnless, keep it, behalten",
        "mail": "mail, post, by mail, courrier, correo, paket",
    },
    "disposition": {
        "sellable": "sellable, a grade, a ware, new, ok, neuf, vendible",
        "b-grade": "b grade, b ware, second, outlet",
        "damaged": "damaged, defect, defective, defekt, endommage, danado, skadad, beschadigd",
        "wrong-item": "wrong item, wrong, falsch, falscher artikel, erreur",
        "missing": "missing, empty, fehlt, manquant, falta, saknas",
    },
    "fee_basis": {"item": "item, per item, unit", "return": "return, per return"},
}  # fmt: skip
WORD_COLUMNS = tuple(_WORDS)
"""Columns that hold a few words, each of which has to be mapped or be ours."""


def normal(text: str) -> str:
    """A name as it is compared: small letters without accents, words apart by one blank."""
    plain = unicodedata.normalize("NFKD", text.casefold()).encode("ascii", "ignore").decode()
    return " ".join(re.findall(r"[a-z0-9]+", plain))


def names_of(column: str) -> set[str]:
    """What a header of our column may be called, as :func:`normal` writes it."""
    return {normal(column), *(normal(one) for one in _COLUMNS.get(column, "").split(",") if one.strip())}


def word_of(column: str, theirs: str) -> str | None:
    """What a word of theirs most likely is; ``None``: somebody has to say."""
    wanted = normal(theirs)
    for ours, others in _WORDS.get(column, {}).items():
        if wanted and wanted in {normal(ours), *(normal(one) for one in others.split(","))}:
            return ours
    return None


def known_words(column: str) -> tuple[str, ...]:
    """Our words of a column, for a question about one of theirs."""
    return tuple(_WORDS.get(column, {}))
