"""Reports by name: `FORMAT:PATH` as the command line gives it, `-` for standard output."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TextIO, cast

from gapcheck.errors import UsageError
from gapcheck.record import Record

if TYPE_CHECKING:
    from gapcheck.suite import Request

FORMATS = ("json", "junit", "html", "sarif", "openmetrics", "policyreport")


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

    @property
    def to_cluster(self) -> bool:
        """Whether it goes into the site's cluster; a file of this name is written as ./cluster."""
        return self.format == "policyreport" and self.path == "cluster"


def parse(text: str) -> Wanted:
    """`FORMAT:PATH`; raises UsageError on another format or no path."""
    name, colon, path = text.partition(":")
    if name not in FORMATS or not colon or not path:
        raise UsageError(
            f"--report {text!r} is not FORMAT:PATH",
            f"formats: {', '.join(FORMATS)}; path - is stdout",
        )
    return Wanted(name, path)


def check_paths(
    reports: Iterable[Wanted], request: Request, *, inputs: Iterable[Path] = ()
) -> None:
    """Raise UsageError now where a report of `request` could not be written after the run.

    `inputs` are files read beside those of the request; no report may take a file's place.
    """
    given = (*request.inputs, *inputs)
    taken: set[Path] = set()
    for each in reports:
        path = Path(each.path)
        if each.to_cluster:
            from gapcheck.policy_delivery import check_delivery

            check_delivery(request)
            path = Path("cluster:")
        elif each.path == "-" or _is_stream(path):
            path = Path("-") if each.path == "-" else path
        else:
            check_output(path, f"--report {each.format}:{each.path}", inputs=given)
            path = path.resolve()
        if path in taken:
            where = {"-": "standard output", "cluster": "the cluster"}.get(each.path, each.path)
            raise UsageError(f"only one report can go to {where}")
        taken.add(path)


def check_output(path: Path, option: str, *, inputs: Iterable[Path] = ()) -> None:
    """Raise UsageError where `path`, given by `option`, cannot be written or may not be."""
    if path.is_dir():
        raise UsageError(f"{option}: is a folder")
    folder = path.resolve().parent
    try:
        # Tried, as the mode of a folder says nothing of a full or read-only file system.
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as failed:
        raise UsageError(f"{option}: cannot write in {folder}: {failed.strerror}") from failed
    for each in inputs:
        if path.exists() and each.exists() and path.samefile(each):
            raise UsageError(f"{option}: is read by this run, and would be lost")


def _is_stream(path: Path) -> bool:
    """Whether `path` is a device, a pipe or a socket, such as /dev/null or a shell's >(...)."""
    return path.exists() and not path.is_file() and not path.is_dir()


def write_all(record: Record, reports: Iterable[Wanted], request: Request | None = None) -> None:
    """Write every report; a file is replaced whole or not at all.

    What goes into a cluster, that of `request`, comes last: files do not wait for it.
    """
    for each in sorted(reports, key=lambda wanted: wanted.to_cluster):
        if each.to_cluster:
            from gapcheck.policy_delivery import deliver

            assert request is not None, "check_paths lets no report without a cluster through"
            assert request.loaded is not None, "the same"
            deliver(record, request.loaded)
            continue
        module = cast("Writer", importlib.import_module(f"gapcheck.reports.{each.format}"))
        if each.path == "-":
            module.write(record, sys.stdout)
            sys.stdout.flush()
            continue
        _replace(Path(each.path), record, module)


def _replace(path: Path, record: Record, module: Writer) -> None:
    if _is_stream(path):
        _pour(path, record, module)
        return
    path = path.resolve()  # a link stays, and what it leads to is replaced
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


def _pour(path: Path, record: Record, module: Writer) -> None:
    """Write into `path`; putting a new file in its place would take it from everyone else."""
    try:
        with path.open("w", encoding="utf-8") as out:
            module.write(record, out)
    except BrokenPipeError:
        raise
    except OSError as failed:
        raise UsageError(f"{path}: report not written: {failed.strerror}") from failed
