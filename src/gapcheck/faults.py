"""The faults that checks cite: what is wrong, how it is met, what puts it right."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault; `guide` says that following the guide as written produces it."""

    title: str
    seen: str
    repair: str
    guide: bool = False


FAULTS: dict[str, Fault] = {
    name: Fault(**fields)
    for name, fields in tomllib.loads(
        files("gapcheck").joinpath("faults.toml").read_text(encoding="utf-8")
    ).items()
}
