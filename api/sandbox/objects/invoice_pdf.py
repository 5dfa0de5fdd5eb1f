"""An invoice as a PDF: one page of plain text, as small as a PDF can be."""

from __future__ import annotations

import datetime as dt

from interlock.api.sandbox.core.errors import Obj
from interlock.api.sandbox.core.ledger import Ledger

LINES_MAX = 45


def pdf_of(w: Ledger, id_: str) -> bytes:
    """The document of an invoice that is finalized."""
    invoice = w.get("invoice", id_)
    return _document(_text(invoice))


def _money(amount: int, currency: str) -> str:
    return f"{amount / 100:,.2f} {currency.upper()}"


def _text(invoice: Obj) -> list[str]:
    day = dt.datetime.fromtimestamp(invoice["created"], dt.UTC).strftime("%d %B %Y")
    lines = [
        f"Invoice {invoice['number'] or '(draft)'}", f"{invoice['account_name']}, {day}",
        f"To {invoice['customer_name'] or invoice['customer_email'] or invoice['customer']}", "",
    ]  # fmt: skip
    rows: list[Obj] = invoice["lines"]["data"]
    lines += [f"{row['description']}: {_money(row['amount'], row['currency'])}" for row in rows[:LINES_MAX]]
    lines += [
        "",
        f"Total: {_money(invoice['total'], invoice['currency'])}",
        f"Amount due: {_money(invoice['amount_due'], invoice['currency'])}",
        f"Status: {invoice['status']}",
    ]
    return lines


def _document(lines: list[str]) -> bytes:
    shown = "\n".join(f"({_escaped(line)}) Tj T*" for line in lines)
    page = f"BT /F1 11 Tf 15 TL 60 780 Td\n{shown}\nET".encode("cp1252", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
        b"/Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(page), page),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, places = b"%PDF-1.4\n", list[int]()
    for n, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (n, each)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return out + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1, table, len(objects) + 1, len(out))  # fmt: skip


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
