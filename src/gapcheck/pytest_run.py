"""One gapcheck run inside a pytest session: facts, judgement, reports, exit code."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gapcheck.errors import GapcheckError
from gapcheck.exits import Exit, code_of, worst
from gapcheck.model import CheckId, SubjectId, Verdict
from gapcheck.registry import Check, catalogue
from gapcheck.reports.writers import Wanted, check_paths, parse

if TYPE_CHECKING:
    from gapcheck.record import Record
    from gapcheck.site_file import LoadedSite
    from gapcheck.suite import Prepared, Request

_MOST_ITEMS = 5000


class Run:
    """What the hooks of the plugin share."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.worker_input: Mapping[str, str] = getattr(config, "workerinput", {}).get(
            "gapcheck", {}
        )
        self.is_worker = hasattr(config, "workerinput")
        self.prepared: Prepared | None = None
        self.record: Record | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._ran: dict[tuple[CheckId, SubjectId], None] = {}
        self._own_tests_failed = False
        self._narrowed = False
        try:
            self.reports = self._reports()
            self.loaded = self._load()
            self.request = self._request()
            check_paths(self.reports, self.request)
        except GapcheckError as bad:
            raise pytest.UsageError(str(bad)) from bad
        if self.request.fix is not None:
            self._refuse_narrowed_fix()
        config.pluginmanager.register(_Listener(self), "gapcheck-listener")

    def option(self, name: str) -> Any:  # noqa: ANN401 - as pytest hands them
        """A value of the plugin's own options."""
        return self.config.getoption(f"gapcheck_{name}")

    def header(self) -> list[str]:
        """What is judged, for the head of the session."""
        what = self.option("bundle") or self.option("site")
        how = "one item a check" if self.grouped else "one item a subject"
        return [f"gapcheck: {what}, {how}"]

    def start(self) -> None:
        """Measure, and repair where asked; a worker reads what the controller measured."""
        from gapcheck.suite import prepare

        try:
            self.prepared = prepare(self.request)
        except GapcheckError as failed:
            if code_of(failed) is Exit.USAGE:
                raise pytest.UsageError(str(failed)) from failed
            raise pytest.exit.Exception(str(failed), returncode=code_of(failed)) from failed

    def handed_over(self) -> dict[str, str]:
        """Where a worker finds the facts."""
        from gapcheck.fixtures.bundle import write_bundle

        assert self.prepared is not None
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="gapcheck-")
            path = Path(self._folder.name) / "facts.tar.gz"
            write_bundle(path, self.prepared.site, self.prepared.facts)
        path = Path(self._folder.name) / "facts.tar.gz"
        return {"facts": str(path), "now": self.prepared.now.isoformat()}

    @property
    def grouped(self) -> bool:
        """Whether a check is one item, whatever the number of its subjects."""
        wish = self.option("per_subject")
        if wish != "auto":
            return bool(wish == "never")
        if any("::" in str(arg) for arg in self.config.args):
            return False  # an item that was named must exist
        total = sum(len(self.subjects(check)) for check in catalogue().checks.values())
        return total > _MOST_ITEMS

    def subjects(self, check: Check) -> tuple[SubjectId, ...]:
        """The subjects of `check`, from the site alone while nothing was measured."""
        if self.prepared is not None:
            return self.prepared.site.subjects(check.scope)
        if self.loaded is not None:
            return self.loaded.site.subjects(check.scope)
        from gapcheck.fixtures.bundle import read_bundle

        assert self.request.bundle is not None
        return read_bundle(self.request.bundle)[0].subjects(check.scope)

    def wants(self, check: Check, subject: SubjectId) -> bool:
        """Whether --select and --target let this item through."""
        from gapcheck.suite import wanted

        return wanted(check, subject, self.request)

    def verdict(self, check: CheckId, subject: SubjectId) -> Verdict:
        """The verdict of one item; facts are read at the first of them."""
        if self.prepared is None:
            self.start()
        assert self.prepared is not None
        return self.prepared.evaluation.verdict(check, subject)

    def only_checks(self) -> bool:
        """Whether the session was pointed at nothing but gapcheck's checks."""
        return all("checks" in str(arg) for arg in self.config.args)

    def heard(self, report: pytest.TestReport) -> None:
        """Keep which verdicts were shown, and whether a test of the user's own failed."""
        properties = dict(report.user_properties)
        if "check" in properties and "subjects" in properties:
            check = CheckId(str(properties["check"]))
            for subject in str(properties["subjects"]).split("\n"):
                self._ran[check, SubjectId(subject)] = None
        elif report.failed:
            self._own_tests_failed = True

    def finish(self, session: pytest.Session) -> None:
        """Write the reports, and set the session's exit code."""
        if self.is_worker or self.prepared is None:
            return
        self.record = self._make_record(self.prepared)
        codes: list[int] = [self.record.run.exit] if self.record.verdicts else [Exit.NOTHING]
        if self._own_tests_failed:
            codes.append(Exit.FAILED)
        pytest_said = int(session.exitstatus)
        if pytest_said in (Exit.INTERNAL, Exit.USAGE):
            codes.append(pytest_said)
        if pytest_said == Exit.INTERRUPTED and not session.shouldfail:
            codes.append(Exit.INTERRUPTED)
        try:
            self._remember_and_write(self.prepared, self.record)
        except GapcheckError as failed:
            self.config.issue_config_time_warning(pytest.PytestWarning(str(failed)), 2)
            codes.append(code_of(failed))
        session.exitstatus = int(worst(codes))
        if self._folder is not None:
            self._folder.cleanup()

    def summarise(self, terminal: Any) -> None:  # noqa: ANN401 - pytest exports no type for it
        """The terminal report of the command line."""
        if self.record is None:
            return
        from gapcheck.reports.terminal import lines

        terminal.section("gapcheck")
        for line in lines(self.record):
            terminal.write_line(line.text)
        for report in self.reports:
            terminal.write_line(f"{report.format} report: {report.path}")

    def _make_record(self, prepared: Prepared) -> Record:
        from gapcheck.suite import make_record

        everything = [
            (check.id, subject)
            for check in catalogue().checks.values()
            for subject in prepared.evaluation.subjects(check)
        ]
        shown = [prepared.evaluation.verdict(*key) for key in everything if key in self._ran]
        self._narrowed = len(shown) < len(everything)
        return make_record(prepared, shown, narrowed=self._narrowed)

    def _remember_and_write(self, prepared: Prepared, record: Record) -> None:
        from gapcheck.lookback import remember_and_write

        found = remember_and_write(prepared, record, self.reports, narrowed=self._narrowed)
        for note in found:
            self.config.issue_config_time_warning(pytest.PytestWarning(note), 2)

    def _reports(self) -> list[Wanted]:
        reports = [parse(text) for text in self.option("report")]
        xml_path = getattr(self.config.option, "xmlpath", None)
        if xml_path:
            # pytest's own writer would make one test case of a grouped item.
            reports.append(Wanted("junit", xml_path))
            self.config.option.xmlpath = None
        return reports

    def _load(self) -> LoadedSite | None:
        from gapcheck.site_file import load_site

        path = self.option("site")
        return load_site(Path(path)) if path else None

    def _request(self) -> Request:
        from gapcheck.commands.options import moment
        from gapcheck.model import Risk
        from gapcheck.suite import FixOptions, Request

        fix = None
        if self.option("fix") and not self.is_worker:
            risk = self.option("max_risk")
            fix = FixOptions(
                max_risk=Risk(risk) if risk else None, with_roots=self.option("with_roots")
            )
        bundle = self.worker_input.get("facts") or self.option("bundle")
        now = self.worker_input.get("now") or self.option("now")
        return Request(
            front_end="pytest",
            loaded=None if self.is_worker else self.loaded,
            bundle=Path(bundle) if bundle else None,
            now=moment(now),
            fix=fix,
            select=tuple(self.option("select")),
            targets=tuple(self.option("target")),
            fail_on_warn=self.option("fail_on") == "warn",
        )

    def _refuse_narrowed_fix(self) -> None:
        """Repairing what a narrowed view happens to show would be a surprise."""
        option = self.config.option
        used = [
            name
            for name, is_used in (
                ("-k", option.keyword),
                ("-m", option.markexpr),
                ("--lf", getattr(option, "lf", False)),
                ("--ff", getattr(option, "failedfirst", False)),
                ("a test id", any("::" in str(arg) for arg in self.config.args)),
                ("a file below checks", any(str(a).endswith(".py") for a in self.config.args)),
            )
            if is_used
        ]
        if used:
            raise pytest.UsageError(
                f"--fix repairs what --select and --target name, not {', '.join(used)}"
            )


class _Listener:
    """Hears every report, also those that come from workers."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Pass the report on."""
        self.run.heard(report)
