"""Real PDFs, made where a test needs them."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from pathlib import Path

from pypdf import PdfReader, PdfWriter

_DRAWING = b"20 20 60 60 re S"


def write_pdf(
    file: Path, pages: Sequence[str], titles: dict[int, tuple[str, int]] | None = None, key: str = ""
) -> Path:
    """A PDF of these pages.

    Args:
        file: where to; its folder is made.
        pages: the text of each; an empty one gets a drawing.
        titles: of pages by their numbers from 1: a bookmark's title, printed at the top as well, and its depth.
        key: the password; empty for none.
    """
    titles = titles or {}
    shown = [f"{titles[number][0]}\n{text}" if number in titles else text for number, text in enumerate(pages, 1)]
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(_pdf([_drawn(text) for text in shown]))))
    above = {}
    for number, (title, depth) in titles.items():
        above[depth] = writer.add_outline_item(title=title, page_number=number - 1, parent=above.get(depth - 1))
    if key:
        writer.encrypt(key, algorithm="RC4-128")
    file.parent.mkdir(parents=True, exist_ok=True)
    writer.write(file)
    return file


def write_bomb(file: Path, unpacked: int) -> Path:
    """A PDF whose only page is small on disk, and of so many bytes when it is unpacked."""
    packer = zlib.compressobj(9)
    block = b"0 0 m " * 100_000
    packed = b"".join(packer.compress(block) for _ in range(unpacked // len(block))) + packer.flush()
    file.write_bytes(_pdf([packed], b"/Filter /FlateDecode "))
    return file


def _drawn(text: str) -> bytes:
    if not text:
        return _DRAWING
    lines = [line.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)") for line in text.split("\n")]
    shown = " T* ".join(f"({line}) Tj" for line in lines)
    return f"BT /F1 11 Tf 14 TL 40 780 Td {shown} ET".encode("latin-1")


def _pdf(contents: Sequence[bytes], packing: bytes = b"") -> bytes:
    """A file of one page for each content."""
    count = len(contents)
    kids = b" ".join(b"%d 0 R" % (4 + 2 * page) for page in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, count),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for page, content in enumerate(contents):
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F1 3 0 R >> >> "
            b"/Contents %d 0 R >>" % (5 + 2 * page),
            b"<< %s/Length %d >>\nstream\n%s\nendstream" % (packing, len(content), content),
        ]
    data, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        places.append(len(data))
        data += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    tail = b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
    return bytes(data) + tail % (len(objects) + 1, table, len(objects) + 1, len(data))
