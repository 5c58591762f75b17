"""DER by hand, so that a test can write what no library would."""

from __future__ import annotations

SEQUENCE, SET = 0x30, 0x31


def tlv(tag: int, contents: bytes) -> bytes:
    length = len(contents)
    if length < 0x80:
        return bytes([tag, length]) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(octets)]) + octets + contents


def seq(*items: bytes) -> bytes:
    return tlv(SEQUENCE, b"".join(items))


def set_of(*items: bytes) -> bytes:
    return tlv(SET, b"".join(items))


def integer(value: int, tag: int = 0x02) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, signed=True))


def oid_contents(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    return b"".join(map(_base128, (first * 40 + second, *rest)))


def oid(dotted: str) -> bytes:
    return tlv(0x06, oid_contents(dotted))


def _base128(value: int) -> bytes:
    octets = [value & 0x7F]
    while value := value >> 7:
        octets.append(0x80 | value & 0x7F)
    return bytes(reversed(octets))


def octets(contents: bytes) -> bytes:
    return tlv(0x04, contents)


def bits(contents: bytes, unused: int = 0) -> bytes:
    return tlv(0x03, bytes([unused]) + contents)


def boolean(value: bool) -> bytes:
    return tlv(0x01, b"\xff" if value else b"\x00")


def context(number: int, contents: bytes, *, constructed: bool = False) -> bytes:
    return tlv(0x80 | number | (0x20 if constructed else 0), contents)


def utf8(text: str) -> bytes:
    return tlv(0x0C, text.encode())


def name(*attributes: tuple[str, bytes]) -> bytes:
    """An X.501 name of (type, value element) pairs, one per relative name."""
    return seq(*(set_of(seq(oid(kind), value)) for kind, value in attributes))


def common_name(text: str) -> bytes:
    return name(("2.5.4.3", utf8(text))) if text else seq()
