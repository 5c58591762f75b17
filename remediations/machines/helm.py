"""The helm program of this machine, run with argument lists made of constants and site names.

It is given absolute paths, so that nothing is looked for in a repository, and an environment
without its own settings and without proxies. What it prints may hold values and is never shown.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from gapcheck.errors import RepairFailed, RepairRefused
from gapcheck.fixtures.probes.charts import chart_sha256
from gapcheck.fixtures.targets.process import DeadlineExceeded, OutputExceeded, Processes
from gapcheck.model import CLUSTER
from gapcheck.remediations.plan import ReadFile, UpgradeRelease
from gapcheck.remediations.release.upgrade import one_of_a_list
from gapcheck.site import Cluster

TIMEOUT_S = 300  # what helm gives the chart's hooks
_DEADLINE_S = TIMEOUT_S + 60.0
_KEPT = "HELM_MAX_HISTORY"
_PROXY = re.compile(r"(https?|all|no)_proxy", re.IGNORECASE)
# Sentences of helm and the API server that hold names and no value.
_SAID = tuple(
    (re.compile(pattern), words)
    for pattern, words in (
        (
            r"missing in charts/ directory: ([\w@., /-]{1,200})",
            "the chart lacks its subcharts: {0}",
        ),
        (
            r'cannot (\w+) resource "([\w./-]+)" in API group "([\w.-]*)"',
            "the account may not {0} {1} {2}",
        ),
        (r"another operation \(install/upgrade/rollback\) is in progress", "another helm runs"),
        (r"conflicts? with \"([\w.-]{1,100})\"", "fields belong to {0}"),
        (r"don't meet the specifications of the schema", "the values do not fit its schema"),
        (r"\(([\w./-]+):(\d+):\d+\)", "template {0}, line {1}, fails"),
        (r"template: ([\w./-]+):(\d+)", "template {0}, line {1}, fails"),
        (r'\b([A-Z]\w+)[\w.]* "([\w.-]+)" is invalid: ([\w.\[\]-]+)', "{0} {1} is invalid at {2}"),
        (r"timed out waiting|context deadline exceeded", "it was not done in time"),
    )
)


def helm_program() -> str:
    """Path of the helm program on PATH, '' where there is none."""
    return shutil.which("helm") or ""


class Helm:
    """Runs helm against the cluster that the site file names; paths are relative to `base`."""

    def __init__(self, cluster: Cluster, *, base: Path) -> None:
        self._base = base.absolute()
        words = [f"--kubeconfig={self._base / Path(cluster.kubeconfig or '').expanduser()}"]
        if cluster.context:
            words.append(f"--kube-context={cluster.context}")
        self._cluster = tuple(words)

    def unchanged(self, files: tuple[ReadFile, ...]) -> None:
        """Raise RepairRefused unless each of `files` is as it was measured."""
        for each in files:
            try:
                now = chart_sha256(self._base / each.path)
            except OSError as failed:
                raise RepairRefused(CLUSTER, f"{each.path}: {failed.strerror}") from failed
            if now != each.sha256:
                raise RepairRefused(CLUSTER, f"{each.path} has changed since it was measured")

    def upgrade_words(self, change: UpgradeRelease, mark: str) -> tuple[str, ...]:
        """The arguments of `helm upgrade`; `mark` becomes the revision's description."""
        return (
            "upgrade",
            f"--namespace={change.namespace}",
            *(f"--values={one_of_a_list(str(self._base / each.path))}" for each in change.values),
            *(("--reuse-values",) if change.keeps else ()),
            *(f"--set={path}=null" for path in change.unset),
            f"--description={mark}",
            *self._common(),
            "--",
            change.name,
            str(self._base / change.chart.path),
        )

    def rollback_words(self, name: str, namespace: str, revision: str) -> tuple[str, ...]:
        """The arguments of `helm rollback`."""
        return ("rollback", f"--namespace={namespace}", *self._common(), "--", name, revision)

    def run(self, words: tuple[str, ...], driver: str) -> str:
        """Run helm with `words`; '' where it ended well, else why, without any value.

        `driver` is where the records of the release are: secret or configmap. Raises
        RepairRefused where helm could not be started.
        """
        program = helm_program()
        if not program:
            raise RepairRefused(CLUSTER, "no helm program is on PATH")
        env = _environment(driver)
        try:
            ran = Processes().run((program, *words), b"", timeout_s=_DEADLINE_S, env=env)
        except (DeadlineExceeded, OutputExceeded) as stopped:
            why = f"helm did not end within {_DEADLINE_S:g} s"
            raise RepairFailed(CLUSTER, why) from stopped
        except OSError as failed:
            raise RepairRefused(CLUSTER, f"{program}: {failed.strerror}") from failed
        return "" if ran.rc == 0 else reason(ran.err.decode(errors="replace"))

    def _common(self) -> tuple[str, ...]:
        return (f"--timeout={TIMEOUT_S}s", *self._cluster)


def reason(said: str) -> str:
    """What helm said, as far as it is names; else that it said something."""
    for pattern, words in _SAID:
        found = pattern.search(said)
        if found:
            return words.format(*found.groups()).strip()
    return "its words may hold values and are not shown; run it by hand to read them"


def _environment(driver: str) -> dict[str, str]:
    """This process's environment without helm's settings, a second kubeconfig and proxies."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if key != "KUBECONFIG"
        and not _PROXY.fullmatch(key)
        and (key == _KEPT or not key.startswith("HELM_"))
    }
    return {**kept, "HELM_DRIVER": driver, "HELM_NO_PLUGINS": "1"}
