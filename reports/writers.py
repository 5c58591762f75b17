"""Reports by name: `FORMAT:PATH` as the command line gives it, `-` for standard output."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TextIO, cast

from gapcheck.errors import UsageError
from gapcheck.record import Record

FORMATS = ("json", "junit", "html")


class Writer(Protocol):
    """What a report module offers."""

    def write(self, record: Record, out: TextIO) -> None:
        """Write `record`."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A report to write; `path` '-' is standard output."""

    format: str
    path: str


def parse(text: str) -> Wanted:
    """`FORMAT:PATH`; raises UsageError on another format or no path."""
    name, colon, path = text.partition(":")
    if name not in FORMATS or not colon or not path:
        raise UsageError(
            f"--report {text!r} is not FORMAT:PATH",
            f"formats: {', '.join(FORMATS)}; path - is stdout",
        )
    return Wanted(name, path)


def check_paths(reports: Iterable[Wanted]) -> None:
    """Raise UsageError now where a report could not be written after the run."""
    to_stdout = [each for each in reports if each.path == "-"]
    if len(to_stdout) > 1:
        raise UsageError("only one report can go to standard output")
    for each in reports:
        folder = Path(each.path).absolute().parent
        if each.path != "-" and not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise UsageError(f"--report {each.format}:{each.path}: cannot write in {folder}")
        if each.path != "-" and Path(each.path).is_dir():
            raise UsageError(f"--report {each.format}:{each.path}: is a folder")


def write_all(record: Record, reports: Iterable[Wanted]) -> None:
    """Write every report; a file is replaced whole or not at all."""
    for each in reports:
        module = cast("Writer", importlib.import_module(f"gapcheck.reports.{each.format}"))
        if each.path == "-":
            module.write(record, sys.stdout)
            sys.stdout.flush()
            continue
        _replace(Path(each.path), record, module)


def _replace(path: Path, record: Record, module: Writer) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as out:
            module.write(record, out)
            out.flush()
            os.fsync(out.fileno())
        draft.replace(path)
    except OSError as failed:
        raise UsageError(f"{path}: report not written: {failed.strerror}") from failed
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
