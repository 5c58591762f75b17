"""Loading a site file, or the site that `check HOST` means without one.

Heavy imports wait inside the functions: a command line that only asks for help loads none.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gapcheck.errors import SiteError, UsageError

if TYPE_CHECKING:
    from gapcheck.site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedSite:
    """A site with where it came from.

    Paths it names are relative to `base`. `path` is the file, Path() where there is none.
    `unread` are keys that are written there although nothing reads them, such as
    `cluster.context` beside `cluster.manifests`; each ends with why.
    """

    site: Site
    base: Path
    path: Path
    unread: tuple[str, ...] = ()

    def resolve(self, text: str) -> Path:
        """The file that the site file means by `text`; `~` is the user's home."""
        return self.base / Path(text).expanduser()


def load_site(path: Path) -> LoadedSite:
    """Read and check a site file; raises SiteError with every defect, each with its line."""
    content = _content(path)
    from gapcheck.site_shape import judged
    from gapcheck.site_yaml import read_document

    document = read_document(content)
    site, problems = judged(document)
    if site is None:
        errors = [SiteError(str(path), each.line, str(each)) for each in problems]
        first = errors[0]
        raise SiteError(first.path, first.line, first.why, first.hint, tuple(errors[1:]))
    from gapcheck.site_unread import unread_keys

    unread = tuple(unread_keys(site))
    return LoadedSite(site=site, base=path.absolute().parent, path=path, unread=unread)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as gone:
        hint = "gapcheck init writes one from what it finds"
        raise SiteError(str(path), 0, "there is no such file", hint) from gone
    except IsADirectoryError as folder:
        raise SiteError(str(path), 0, "is a folder; a YAML file is needed") from folder
    except (OSError, ValueError) as wrong:
        why = f"cannot be read: {getattr(wrong, 'strerror', None) or wrong}"
        raise SiteError(str(path), 0, why) from wrong


def site_of_host(text: str, *, ca: Path | None, address: str | None) -> LoadedSite:
    """The site of one registry, HOST[:PORT]; this machine is its one node where no CA is given.

    Raises UsageError on an unusable host or address.
    """
    import pydantic

    from gapcheck.hostspec import ip_text, split_host_port
    from gapcheck.site import Node, Registry, Site

    try:
        host, port = split_host_port(text.strip())
        registry = Registry(
            host=host,
            port=port or 443,
            address=None if address is None else ip_text(address.strip()),
            ca_file=None if ca is None else str(ca),
        )
    except pydantic.ValidationError as wrong:
        why = "; ".join(str(error.get("ctx", {}).get("error", "")) for error in wrong.errors())
        raise UsageError(why, "write HOST or HOST:PORT, an IPv6 address as [::1]:5000") from wrong
    except ValueError as wrong:
        hint = "write HOST or HOST:PORT, an IPv6 address as [::1]:5000"
        raise UsageError(str(wrong), hint) from wrong
    nodes = () if ca is not None else (Node(target="local://", name="local"),)
    site = Site(version=1, name=registry.netloc, registry=registry, nodes=nodes)
    return LoadedSite(site=site, base=Path.cwd(), path=Path())


def check_ca_file(loaded: LoadedSite) -> None:
    """Raise UsageError where the CA file that the site names cannot be opened."""
    name = loaded.site.registry.ca_file
    if name is None:
        return
    path = loaded.resolve(name)
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as wrong:
        why = f"the CA file {path} cannot be opened: {wrong.strerror}"
        raise UsageError(why, "it is named by --ca or registry.ca_file") from wrong
