"""`gapcheck export`: print what would prepare or repair, for those who carry it themselves."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from gapcheck.commands.options import (
    Watch,
    load,
    risk_option,
    select_option,
    site_option,
    target_option,
)
from gapcheck.errors import UsageError
from gapcheck.exits import Exit

if TYPE_CHECKING:
    from gapcheck.exporting.source import Export, Source
    from gapcheck.site import Site
    from gapcheck.suite import Prepared

F = TypeVar("F", bound=Callable[..., Any])

_CODES = """\b
Exit codes: 0 all that fails here is in it, 1 something is left for a person, 6 something was not
measured; stderr says what."""

bundle_option = click.option(
    "--bundle", type=click.Path(path_type=Path), metavar="FILE",
    help="Export from what `collect` measured; no target is touched.",
)  # fmt: skip


def _planned(function: F) -> F:
    """The options of every export that is made from a plan."""
    for option in (target_option, select_option, risk_option, bundle_option, site_option):
        function = option(function)
    return function


@click.group(
    epilog="\b\nExamples:\n  gapcheck export node-init > node-init.sh\n"
    "  gapcheck export values --bundle site.tar.gz > gapcheck-values.yaml\n"
    "  gapcheck export rbac --for check | kubectl apply -f -"
)
def export() -> None:
    """Print what would prepare or repair, without changing anything.

    For a change board, GitOps or a configuration tool: what is printed goes to standard
    output, what it does not carry is said on standard error.
    """


@export.command("node-init", epilog="\b\nExample:\n  gapcheck export node-init > node-init.sh")
@site_option
def node_init(site_path: Path | None) -> int:
    """Print a POSIX script that prepares a new node; running it again changes nothing."""
    from gapcheck.export import node_init as script
    from gapcheck.site_file import check_ca_file

    loaded = load(site_path)
    if loaded.site.registry.ca_file is None:
        raise UsageError("the site file names no CA", "add registry.ca_file: a node needs it")
    check_ca_file(loaded)
    pem = loaded.resolve(loaded.site.registry.ca_file).read_bytes()
    sys.stdout.write(script(loaded.site, pem))
    return Exit.OK


@export.command(
    "values",
    epilog="\b\nExample:\n  gapcheck export values --site site.yaml > gapcheck-values.yaml\n\n"
    + _CODES,
)
@_planned
@click.pass_obj
def values(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Print Helm values that repair the release: images, CA secret, pull secret.

    Each key has the check that asks for it. Nothing else of your values is in it.
    """
    from gapcheck.exporting.values import values as made

    return print_export(made(_source(obj, given)), obj)


@export.command(
    "manifests",
    epilog="\b\nExamples:\n  gapcheck export manifests --site site.yaml > repair.yaml\n"
    "  gapcheck export manifests --bundle site.tar.gz --select SECRET\n\n" + _CODES,
)
@_planned
@click.pass_obj
def manifests(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Print the objects to apply: CA secret, hostAliases, CoreDNS; never a private key.

    A comment says how to apply them; applying them again changes nothing.
    """
    from gapcheck.exporting.manifests import manifests as made

    return print_export(made(_source(obj, given)), obj)


@export.command(
    "ansible",
    epilog="\b\nExamples:\n  gapcheck export ansible --site site.yaml > nodes.yml\n"
    "  gapcheck export ansible --bundle site.tar.gz --target 'rack-7-*'\n\n" + _CODES,
)
@_planned
@click.pass_obj
def ansible(obj: dict[str, Any], /, **given: Any) -> int:  # noqa: ANN401 - options as click hands them
    """Print a playbook that repairs the nodes, of ansible.builtin modules alone.

    It stops where a file is neither as measured nor as it is to be.
    """
    from gapcheck.exporting.playbook import playbook

    return print_export(playbook(_source(obj, given)), obj)


@export.command(
    "rbac",
    epilog="\b\nExamples:\n  gapcheck export rbac --for check | kubectl apply -f -\n"
    "  gapcheck export rbac --for fix --namespace ops --bundle site.tar.gz",
)
@click.option(
    "--for", "purpose", type=click.Choice(["check", "fix"]), required=True,
    help="check: read only. fix: patch, back up, undo as well.",
)  # fmt: skip
@click.option(
    "--namespace", metavar="N", default="", help="Where the account lives; default: the release's."
)
@click.option("--drain", is_flag=True, help="With --for fix: cordon, evict, uncordon as well.")
@bundle_option
@site_option
def rbac(
    purpose: str, namespace: str, *, drain: bool, bundle: Path | None, site_path: Path | None
) -> int:
    """Print a service account and exactly the rights that a check or a fix uses.

    With --bundle, a fix may patch the secrets that were measured beside the CA secret.
    """
    from gapcheck.exporting.rbac import rbac as made

    site, secrets = _site_of(bundle, site_path)
    if drain and purpose != "fix":
        raise UsageError("--drain: a check drains nothing", "say --for fix")
    text = made(site, purpose=purpose, namespace=namespace, secrets=secrets, drains=drain)
    sys.stdout.write(text)
    return Exit.OK


def _site_of(bundle: Path | None, site_path: Path | None) -> tuple[Site, tuple[str, ...]]:
    """The site, and the names of the secrets that a bundle of it holds."""
    if bundle is None:
        return load(site_path).site, ()
    from gapcheck.exporting.objects import secret_names
    from gapcheck.fixtures.bundle import read_bundle

    if site_path is not None:
        raise UsageError("--site and --bundle together say two things", "name one of them")
    site, facts = read_bundle(bundle)
    return site, secret_names(facts)


def _source(obj: dict[str, Any], given: dict[str, Any]) -> Source:
    from gapcheck.exporting.source import Source
    from gapcheck.model import Risk
    from gapcheck.remediations.planner import Wanted
    from gapcheck.suite import wanted

    prepared = _prepared(obj, given)
    request = prepared.request
    checks = prepared.evaluation.catalogue.checks
    return Source(
        evaluation=prepared.evaluation,
        wanted=Wanted(
            max_risk=Risk(given["max_risk"] or prepared.site.policy.max_risk),
            select=request.select,
            targets=request.targets,
        ),
        asked=lambda check, subject: wanted(checks[check], subject, request),
    )


def _prepared(obj: dict[str, Any], given: dict[str, Any]) -> Prepared:
    from gapcheck.suite import Request, prepare

    bundle = given["bundle"]
    loaded = load(given["site_path"]) if given["site_path"] or not bundle else None
    return prepare(
        Request(
            front_end="cli",
            loaded=loaded,
            bundle=bundle,
            select=given["select"],
            targets=given["targets"],
            progress=Watch(obj).progress,
        )
    )


def print_export(made: Export, obj: dict[str, Any]) -> int:
    """Text to stdout, what it does not carry to stderr; the export's own exit code."""
    sys.stdout.write(made.text)
    if not obj["quiet"]:
        for note in made.notes:
            click.echo(note, err=True)
    return made.code
