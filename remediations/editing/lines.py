"""Line endings of a text file, so that an edit keeps them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gapcheck.errors import EditRefused

BOM = "\ufeff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file's text with plain newlines; `encode` gives it back as it was written."""

    body: str
    crlf: bool
    bom: bool

    def encode(self, body: str) -> bytes:
        """`body` with this file's line endings and byte order mark."""
        if self.crlf:
            body = body.replace("\n", "\r\n")
        return ((BOM if self.bom else "") + body).encode(errors="surrogateescape")


def decode(path: str, content: bytes | None, *, any_bytes: bool = False) -> Text:
    """The text of `content`, '' for an absent file; raises EditRefused unless it is UTF-8.

    With `any_bytes` bytes that are no UTF-8 (a comment in Latin-1) are carried through.

    Line endings are made plain only where every line ends in CR LF: a file that mixes them
    keeps each as it is.
    """
    try:
        body = (content or b"").decode(errors="surrogateescape" if any_bytes else "strict")
    except UnicodeDecodeError as bad:
        raise EditRefused(path, f"it is not UTF-8 text (byte {bad.start})") from bad
    bom = body.startswith(BOM)
    body = body.removeprefix(BOM)
    newlines = body.count("\n")
    crlf = newlines > 0 and body.count("\r\n") == newlines
    return Text(body=body.replace("\r\n", "\n") if crlf else body, crlf=crlf, bom=bom)


def split_lines(body: str) -> list[str]:
    """The lines of `body` with their line feeds; only a line feed ends a line."""
    return [line for line in re.split(r"(?<=\n)", body) if line]
