"""Questions to a Go client about octets: encodings, keys, extensions, CA files."""

# ruff: noqa: E501 - a shape is one line of a table, however long

from __future__ import annotations

import base64
from collections.abc import Iterator

from support.der import (
    bits,
    context,
    integer,
    name,
    octets,
    oid,
    seq,
    set_of,
    tlv,
    utf8,
)
from support.goclient import Question  # noqa: TC002 - one rule for all modules
from support.odd_certs import (
    basic,
    constraints,
    key,
    pem,
    policies,
    policy_constraints,
    pss_algorithm,
    rsa_spki,
    san,
    small_rsa,
)
from support.shapes import LEAF, ROOT, ask, below, leaf, middle, root


def encoding_shapes() -> Iterator[Question]:
    """All of them; names are unique."""
    for shapes in (
        _encodings,
        _keys,
        _signatures,
        _constraints,
        _policies,
        _extensions,
        _uris,
        _files,
    ):
        yield from shapes()


def _encodings() -> Iterator[Question]:
    serials = {"zero": integer(0), "negative": integer(-5), "huge": integer(1 << 400),
               "padded": tlv(2, b"\x00\x01"), "empty": tlv(2, b""), "octets": octets(b"\x01")}  # fmt: skip
    for label, serial in serials.items():
        yield ask(f"serial {label}", leaf(serial=serial))
        yield ask(f"root serial {label}", leaf(), pool=[root(serial=serial)])
    strings = {
        "printable": tlv(0x13, b"registry.local"), "printable star": tlv(0x13, b"*.local"),
        "printable at": tlv(0x13, b"a@b"), "printable _": tlv(0x13, b"a_b"),
        "printable &": tlv(0x13, b"a&b"), "teletex": tlv(0x14, b"r\xe9"), "ia5": tlv(0x16, b"a@b"),
        "ia5 high": tlv(0x16, b"\xe9"), "bmp": tlv(0x1E, "registry".encode("utf-16-be")),
        "bmp odd": tlv(0x1E, b"abc"), "bmp surrogate": tlv(0x1E, b"\xd8\x00"),
        "universal": tlv(0x1C, "r".encode("utf-32-be")), "numeric": tlv(0x12, b"1 2"),
        "numeric letter": tlv(0x12, b"a"), "utf8 bad": tlv(0x0C, b"\xff"), "utf8 nul": utf8("a\x00b"),
        "visible": tlv(0x1A, b"x"), "integer": integer(5), "empty": utf8(""),
        "bmp nul": tlv(0x1E, b"\x00a\x00\x00"), "sequence": seq(),
    }  # fmt: skip
    for label, value in strings.items():
        yield ask(f"subject string {label}", leaf(subject=name(("2.5.4.3", value))))
        yield ask(
            f"subject string {label}, no san", leaf(subject=name(("2.5.4.3", value)), extensions=())
        )
    yield ask("subject with two in one set", leaf(
        subject=seq(set_of(seq(oid("2.5.4.3"), utf8("a")), seq(oid("2.5.4.10"), utf8("b"))))
    ))  # fmt: skip
    yield ask("subject empty set", leaf(subject=seq(set_of())))
    yield ask("issuer of other string type", leaf(issuer=name(("2.5.4.3", tlv(0x13, b"Odd Root")))))
    yield ask("trailing octet", leaf(trailing=b"\x00"))
    yield ask("outer algorithm differs", leaf(outer_algorithm=seq(oid("1.2.840.10045.4.3.3"))))
    yield ask(
        "algorithm with NULL", leaf(algorithm_der=seq(oid("1.2.840.10045.4.3.2"), b"\x05\x00"))
    )
    yield ask("unique ids", leaf(unique_ids=tlv(0x81, b"\x00a") + tlv(0x82, b"\x00b")))
    hidden = tlv(0xA2, seq(seq(oid("2.5.29.17"), octets(b"\x30\x00"))))
    yield ask("extensions under a wrong tag", leaf(unique_ids=hidden, extensions=()))
    yield ask(
        "a middle with extensions under a wrong tag",
        leaf(),
        middle(unique_ids=hidden, extensions=()),
    )
    yield ask("empty extensions", leaf(raw_extensions=seq()))
    for raw in (b"", b"\x30", b"\x30\x80\x00\x00", b"hello", b"\x30\x00", b"\x31\x00", seq(seq())):
        yield ask(f"octets {raw.hex()}", raw)
        yield ask(f"a middle of octets {raw.hex()}", leaf(), raw)
    yield ask(
        "long length form", b"\x30\x83\x00" + len(leaf().der()[4:]).to_bytes(2) + leaf().der()[4:]
    )


def _keys() -> Iterator[Question]:
    for kind in ("p224", "p256", "p384", "p521", "k256", "ed25519", "ed448", "dsa",
                 "rsa1024", "rsa2048", "rsa512", "rsa1000", "rsa1023"):  # fmt: skip
        own = key(kind)
        yield ask(f"leaf key {kind}", leaf(key=own))
        signer = root(key=own)
        yield ask(f"root key {kind}", leaf(signer=own), pool=[signer])
        yield ask(f"itself {kind}", leaf(key=own, signer=own), pool=[leaf(key=own, signer=own)])
    modulus = small_rsa(1000).modulus << 1048 | 1
    for label, encoded in {
        "exponent 1": rsa_spki(modulus, 1), "exponent 2": rsa_spki(modulus, 2),
        "exponent 3": rsa_spki(modulus, 3), "exponent 0": rsa_spki(modulus, 0),
        "exponent -3": rsa_spki(modulus, -3), "exponent 2^31+1": rsa_spki(modulus, (1 << 31) + 1),
        "exponent 2^31-1": rsa_spki(modulus, (1 << 31) - 1), "exponent 2^70": rsa_spki(modulus, 1 << 70 | 1),
        "even modulus": rsa_spki(modulus + 1, 65537), "negative modulus": rsa_spki(-modulus, 65537),
        "zero modulus": rsa_spki(0, 65537), "8192 bits": rsa_spki(1 << 8191 | 1, 65537),
        "8193 bits": rsa_spki(1 << 8192 | 1, 65537), "no parameters": rsa_spki(modulus, 65537, b""),
        "odd parameters": rsa_spki(modulus, 65537, integer(1)),
        "unknown": seq(seq(oid("1.2.3.4")), bits(b"abc")),
        "pss key": seq(seq(oid("1.2.840.113549.1.1.10")), bits(seq(integer(modulus), integer(65537)))),
        "x25519": seq(seq(oid("1.3.101.110")), bits(b"a" * 32)),
        "ed25519 short": seq(seq(oid("1.3.101.112")), bits(b"a" * 31)),
        "ed25519 parameters": seq(seq(oid("1.3.101.112"), b"\x05\x00"), bits(b"a" * 32)),
        "ec no curve": seq(seq(oid("1.2.840.10045.2.1")), bits(b"\x04" + b"a" * 64)),
        "ec unknown curve": seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.3")), bits(b"\x04" + b"a" * 64)),
        "ec explicit": seq(seq(oid("1.2.840.10045.2.1"), seq(integer(1))), bits(b"\x04" + b"a" * 64)),
        "ec off curve": seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(b"\x04" + b"a" * 64)),
        "ec too large": seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(b"\x04" + b"\xff" * 64)),
        "ec short": seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(b"\x04" + b"a" * 63)),
        "ec compressed": seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(b"\x02" + b"a" * 32)),
        "ec infinity": seq(seq(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7")), bits(b"\x00")),
    }.items():  # fmt: skip
        yield ask(f"leaf spki {label}", leaf(spki=encoded))
        yield ask(f"middle spki {label}", leaf(), middle(spki=encoded))
        yield ask(f"issuer spki {label}", leaf(), pool=[root(spki=encoded)])
        yield ask(f"issuer spki {label} and RSA signature", leaf(
            signer=key("rsa2048")), pool=[root(spki=encoded)])  # fmt: skip


def _signatures() -> Iterator[Question]:
    rsa = key("rsa2048")
    by_rsa = root(key=rsa)
    for algorithm in ("rsa-md5", "rsa-sha1", "rsa-sha256", "rsa-sha384", "rsa-sha512"):
        yield ask(f"signed {algorithm}", leaf(signer=rsa, algorithm=algorithm), pool=[by_rsa])
    for algorithm in ("ecdsa-sha1", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512", "unknown"):
        yield ask(f"signed {algorithm}", leaf(algorithm=algorithm))
    for hash_name in ("sha256", "sha384", "sha512"):
        size = {"sha256": 32, "sha384": 48, "sha512": 64}[hash_name]
        for salt, mask in ((size, ""), (size - 1, ""), (20, ""), (size, "sha1")):
            identifier = pss_algorithm(hash_name, salt, mask)
            made = leaf(signer=rsa, algorithm=f"pss-{hash_name}", algorithm_der=identifier)
            yield ask(f"pss {hash_name} salt {salt} mask {mask}", made, pool=[by_rsa])
    plain = seq(oid("1.2.840.113549.1.1.10"))
    yield ask(
        "pss without parameters",
        leaf(signer=rsa, algorithm="pss-sha256", algorithm_der=plain),
        pool=[by_rsa],
    )
    for label, signature in {
        "empty": b"", "zero": bytes(256), "short": b"\x01", "padded ecdsa": seq(tlv(2, b"\x00\x01"), integer(1)),
        "zero ecdsa": seq(integer(0), integer(0)), "negative ecdsa": seq(integer(-1), integer(1)),
        "ecdsa and more": seq(integer(1), integer(1)) + b"\x00",
    }.items():  # fmt: skip
        yield ask(f"signature {label} by ecdsa", leaf(signature=signature))
        yield ask(f"signature {label} by rsa", leaf(signer=rsa, signature=signature), pool=[by_rsa])
    small = key("rsa768")
    yield ask("signed by RSA-768", leaf(signer=small), pool=[root(key=small)])


def _constraints() -> Iterator[Question]:
    trees = ("dns:local", "dns:.local", "dns:registry.local", "dns:.registry.local", "dns:example.com",
             "dns:", "dns:LOCAL", "dns:*.local", "dns:local.", "dns:re gistry", "net:10.0.0.0/8",
             "net:10.0.0.2/32", "net:10.0.0.0/24", "net:0.0.0.0/0", "net:fd00::/8", "ip:10.0.0.2", "mail:local",
             "mail:a@b", "mail:.local", "mail:@", "uri:local", "uri:.local", "uri:10.0.0.2", "uri:a b",
             "dir:x", "rid:x", "other:x", "dns:r\xe9", "net:10.0.0.2/8")  # fmt: skip
    names = {
        "plain": ("dns:registry.local", "ip:10.0.0.2"), "mail": ("dns:registry.local", "mail:x@a.local"),
        "bad mail": ("dns:registry.local", "mail:x"), "uri": ("dns:registry.local", "uri:https://a.local/x y"),
        "uri ip": ("dns:registry.local", "uri:https://10.0.0.2:5/"), "uri none": ("dns:registry.local", "uri:urn:x y"),
        "odd dns": ("dns:registry.local", "dns:a b", "dns:", "dns:.x"), "wild": ("dns:*.local",),
        "upper": ("dns:REGISTRY.LOCAL",), "dir": ("dns:registry.local", "dir:x"),
    }  # fmt: skip
    for tree in trees:
        for label, held in names.items():
            for side in ("permitted", "excluded"):
                limited = root(extensions=(basic(), constraints(**{side: (tree,)})))
                yield ask(
                    f"{side} {tree} over {label}", leaf(extensions=(san(*held),)), pool=[limited]
                )
    for label, value in {"nothing": seq(), "empty permitted": seq(context(0, b"", constructed=True)),
                         "trailing": seq(context(0, b"", constructed=True)) + b"\x00",
                         "minimum": seq(context(0, seq(context(2, b"local"), context(0, b"\x01")), constructed=True)),
                         "bad mask": seq(context(0, seq(context(7, b"\x0a\x00\x00\x00\xff\x00\xff\x00")), constructed=True)),
                         "not critical": seq(context(0, seq(context(2, b"example.com")), constructed=True))}.items():  # fmt: skip
        critical = label != "not critical"
        yield ask(
            f"constraints {label}",
            leaf(),
            pool=[root(extensions=(basic(), ("2.5.29.30", critical, value)))],
        )
    mid = middle(extensions=(basic(), constraints(permitted=("dns:example.com",))))
    yield ask("constraint on a middle", below(mid), mid)
    yield ask(
        "no san below a constraint",
        leaf(extensions=()),
        pool=[root(extensions=(basic(), constraints(("dns:x",))))],
        host="",
    )


def _policies() -> Iterator[Question]:
    for required in (0, 1, 2, -1):
        strict = root(extensions=(basic(),))
        mid = middle(extensions=(basic(), policy_constraints(required, None)))
        yield ask(f"policy required after {required}", below(mid), mid, pool=[strict])
        good = middle(extensions=(basic(), policies("1.2.3"), policy_constraints(required, None)))
        yield ask(
            f"policy required after {required}, shown",
            below(good, extensions=(*LEAF.extensions, policies("1.2.3"))),
            good,
        )
        yield ask(
            f"policy required after {required}, other",
            below(good, extensions=(*LEAF.extensions, policies("1.2.4"))),
            good,
        )


def _extensions() -> Iterator[Question]:
    values = {
        "2.5.29.14": (octets(b"a"), b"", octets(b""), octets(b"a") + b"x"),
        "2.5.29.15": (bits(b"\x80"), b"", bits(b"\x81", 1), octets(b"a"), bits(b"\x80\x80"), tlv(3, b"\x09\x80")),
        "2.5.29.17": (seq(), b"", seq(context(2, b"registry.local")) + b"x", seq(context(7, b"abc")), octets(b""),
                      seq(context(2, b"r\xff")), seq(context(9, b"x")), seq(b"\x82\x05a")),
        "2.5.29.18": (seq(context(2, b"x")), b"junk"), "2.5.29.19": (seq(), b"", seq(tlv(1, b"\x01")), seq(integer(1)),
                      seq(tlv(1, b"\xff"), integer(1 << 70)), seq(tlv(1, b"\x00"), integer(3)), seq() + b"x", seq(integer(1), integer(2))),
        "2.5.29.31": (seq(), b"", seq(seq(context(0, context(0, context(6, b"http://x"), constructed=True), constructed=True))),
                      seq(seq(context(0, context(1, b"x", constructed=True), constructed=True))), seq(octets(b"a"))),
        "2.5.29.32": (seq(), b"", seq(seq(oid("1.2.3")), seq(oid("1.2.3"))), seq(seq()), seq(seq(tlv(6, b"\x80\x01"))), seq(seq(oid("1.2.3"), seq()))),
        "2.5.29.33": (seq(), seq(seq(oid("1.2"))), seq(seq(oid("1.2.3"), oid("1.2.4")))),
        "2.5.29.35": (seq(), b"", seq(context(0, b"a")), seq(context(1, b"a")), octets(b"x"), seq(context(0, b"a")) + b"x"),
        "2.5.29.36": (seq(), b"", seq(context(0, b"\x00\x01")), seq(context(0, b"\x01"), context(1, b"\x01")), seq(context(0, b"\x01" * 9))),
        "2.5.29.37": (seq(), b"", seq(integer(1)), seq(oid("1.2.3")), seq(tlv(6, b"\x88\x80\x80\x80\x80\x00"))),
        "2.5.29.54": (integer(0), b"", octets(b"a"), integer(-1)),
        "1.3.6.1.5.5.7.1.1": (seq(), b"", seq(seq(oid("1.2"), context(6, b"http://x"))), seq(seq(context(6, b"x"))), seq(oid("1.2"))),
        "1.3.6.1.5.5.7.1.24": (b"junk",), "1.3.6.1.4.1.11129.2.4.3": (b"\x05\x00",), "2.16.840.1.113730.1.1": (bits(b"\x40"),),
        "2.5.29.9": (b"junk",), "2.5.29.46": (b"junk",), "1.2.3": (b"",),
    }  # fmt: skip
    for dotted, held in values.items():
        for value in held:
            for critical in (False, True):
                odd = (dotted, critical, value)
                extra = () if dotted == "2.5.29.17" else LEAF.extensions
                label = f"{dotted} {value.hex()} critical {critical}"
                yield ask(f"leaf {label}", leaf(extensions=(*extra, odd)))
                if dotted != "2.5.29.19":
                    yield ask(f"root {label}", leaf(), pool=[root(extensions=(basic(), odd))])
                else:
                    yield ask(f"root {label}", leaf(), pool=[root(extensions=(odd,))])
    yield ask("repeated extension", leaf(extensions=(*LEAF.extensions, *LEAF.extensions)))
    yield ask(
        "repeated unknown",
        leaf(extensions=(*LEAF.extensions, ("1.2.3", False, b""), ("1.2.3", False, b""))),
    )
    yield ask("explicit false", leaf(raw_extensions=seq(
        seq(oid("2.5.29.17"), tlv(1, b"\x00"), octets(LEAF.extensions[0][2]))
    )))  # fmt: skip
    yield ask("critical 01", leaf(raw_extensions=seq(
        seq(oid("2.5.29.17"), tlv(1, b"\x01"), octets(LEAF.extensions[0][2]))
    )))  # fmt: skip


def _uris() -> Iterator[Question]:
    limited = [root(extensions=(basic(), constraints(permitted=("uri:.local",))))]
    for uri in (
        "https://a.local/", "https://A.local:443/x", "https://u:p@a.local/", "//a.local/x", "a.local",
        "https://", "https:///x", "urn:a:b", "urn:a b", "http://[fd00::2]/", "http://[fd00::2%25eth0]/", "http://10.0.0.2/",
        "http://a.local:x/", "http://a.local:/", "http://a b/", "http://%zz/", "http://%41.local/", "http://a.local/%zz",
        "http://a.local/a%20b", "http://a.local/a b", "http://a.local/a?b c#d e", "http://a.local/#%zz", ":x", "1:x", "x:y",
        "http://a.local/\x7f", "http://a..local/", "http://.local/", "http://[::1/", "http://a]b/", "ftp://a.local:1:2/",
        "http://a.local:1:2/", "mailto:a@b", "HTTP://A.LOCAL", "/path only", "path/with:colon", "*", "", "?q", "#f",
        "bad.example.com, test.localhost", "http://a.local/\"<>^`{|}\\", "http://us er@a.local/", "http://a.local/a;b,c=d+e$f&g@h:i",
        "x:/", "x://", "x:///a b", "http://a.local/%2f", "http://a.local/%e9", "http://r\xe9.local/", "http://a.local//b//", "./a:b",
        "http://a.local/[x]", "http://a.local/*", "http://a!b.local/", "http://a'b.local/x'y(z)*", "//a b.local/",
    ):  # fmt: skip
        made = leaf(extensions=(san("dns:registry.local", f"uri:{uri}"),))
        yield ask(f"uri {uri!r}", made)
        yield ask(f"uri {uri!r} below a constraint", made, pool=limited)
        other = [root(extensions=(basic(), constraints(excluded=("uri:local", "uri:a.local"))))]
        yield ask(f"uri {uri!r} below an exclusion", made, pool=other)


def _files() -> Iterator[Question]:
    good, other = pem([ROOT.der()]), pem([middle().der()])
    key_block = pem([b"not a key"], "PRIVATE KEY")
    lines = good.splitlines(keepends=True)
    shapes: dict[str, bytes] = {
        "der": ROOT.der(), "crlf": good.replace(b"\n", b"\r\n"), "cr": good.replace(b"\n", b"\r"),
        "no final newline": good[:-1], "joined": good[:-1] + other, "joined turned": other[:-1] + good,
        "text between": b"# a\n" + good + b"text\n\n" + other, "key and cert": key_block + good,
        "cert and key": good + key_block, "indented": b"".join(b"  " + line for line in lines),
        "body indented": lines[0] + b"".join(b"  " + line for line in lines[1:-1]) + lines[-1],
        "bom": b"\xef\xbb\xbf" + good, "bom line": b"\xef\xbb\xbf\n" + good,
        "trusted": good.replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"),
        "x509": good.replace(b"CERTIFICATE", b"X509 CERTIFICATE"), "empty": b"", "newline": b"\n",
        "truncated": good[: len(good) // 2], "truncated then good": good[: len(good) // 2] + b"\n" + good,
        "truncated then two": good[: len(good) // 2] + b"\n" + other + good,
        "corrupt": good.replace(b"M", b"*", 1), "corrupt then good": good.replace(b"M", b"*", 1) + good,
        "der between": other + ROOT.der() + b"\n" + good, "der before": ROOT.der() + good,
        "der line before": ROOT.der() + b"\n" + good, "twice": good + good,
        "headers": lines[0] + b"A: b\n\n" + b"".join(lines[1:]), "header without blank": lines[0] + b"A: b\n" + b"".join(lines[1:]),
        "long lines": lines[0] + b"".join(line.strip() for line in lines[1:-1]) + b"\n" + lines[-1],
        "blank lines": good.replace(b"\n", b"\n\n"), "spaces at ends": good.replace(b"\n", b"  \n"),
        "tabs at ends": good.replace(b"\n", b"\t\n"), "no padding": good.replace(b"=", b""),
        "extra padding": good.replace(b"-----END", b"=\n-----END", 1), "end on same line": good.replace(b"\n-----END", b"-----END"),
        "begin on same line": good.replace(b"-----\n", b"-----", 1), "lower case": good.replace(b"BEGIN", b"begin"),
        "four dashes": good.replace(b"-----BEGIN", b"----BEGIN"), "six dashes": good.replace(b"-----BEGIN", b"------BEGIN"),
        "text after begin": good.replace(b"CERTIFICATE-----\n", b"CERTIFICATE----- x\n", 1), "text after end": good[:-1] + b" x\n",
        "label differs": good.replace(b"END CERTIFICATE", b"END CERT"), "utf-16": good.decode().encode("utf-16"),
        "nul octets": good.replace(b"\n", b"\n\x00"), "quoted": b'"' + good + b'"', "escaped": good.replace(b"\n", b"\\n"),
        "base64 only": b"".join(lines[1:-1]), "base64 of pem": base64.encodebytes(good),
        "url-safe": good.replace(b"+", b"-").replace(b"/", b"_"), "pkcs7": good.replace(b"CERTIFICATE", b"PKCS7"),
        "not a certificate": pem([b"\x30\x00"]) + good, "v4": pem([root(version=3).der()]) + good,
        "leaf": pem([LEAF.der()]), "yaml": b"ca: |\n" + b"".join(b"  " + line for line in lines),
        "space before begin": b" " + good, "form feed": good + b"\x0c" + good, "html": b"<html>" + good + b"</html>",
        "begin twice": lines[0] + good, "end twice": good + lines[-1] + other, "nested": lines[0] + other + b"".join(lines[1:]),
    }  # fmt: skip
    for label, data in shapes.items():
        yield ask(f"file {label}", leaf(), pool=data)
        yield ask(f"file {label}, then another", leaf(), pool=data + other + good)
        yield ask(f"file {label}, after another", leaf(), pool=other + data)
