"""Writes the site's CA file again, in the one form that every client loads."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gapcheck.errors import CannotPlan
from gapcheck.fixtures.facts import Absent, require
from gapcheck.fixtures.pem_files import recover
from gapcheck.model import SITE, Finding, Risk
from gapcheck.registry import remedy
from gapcheck.remediations.plan import Change, Literal, WriteFile
from gapcheck.view import SiteView


@remedy("CERT-FILE-001", risk=Risk.SAFE)
def plan_plain_ca_file(finding: Finding, view: SiteView) -> Iterator[Change]:
    """Write every certificate of the CA file as plain PEM, in file order and without any key.

    Refused where a certificate in it is damaged beyond reading, or where all have expired:
    then nobody here knows which CA was meant.
    """
    path = finding.data["path"]
    if finding.data["kind"] == "expired":
        raise CannotPlan(f"bring a CA certificate that is valid today and put it into {path}")
    file = require(view.facts.files.get(path, Absent()), f"the CA file {path}", "site")
    found = recover(view.content(file))
    if not found.certificates:
        raise CannotPlan(f"no certificate can be read in {path}: bring the CA's file again")
    if found.lost_lines:
        lines = ", ".join(map(str, found.lost_lines))
        raise CannotPlan(
            f"the certificate at line {lines} of {path} is damaged: bring that file again"
        )
    written = WriteFile(
        target=SITE,
        path=path,
        before_sha256=file.sha256,
        content=Literal(found.pem),
        mode=file.mode,
    )
    # A key in a file that clients are given counts as leaked: no backup may keep it.
    yield msgspec.structs.replace(written, final=True) if file.has_private_key else written
