"""The registry machine, and the three registries it can run: v2, v3, and v2 under dockerd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.machines import Machine, until
from lab.network import ADDRESSES
from lab.programs import go_programs

if TYPE_CHECKING:
    from support.certs import Pair

HOST = "registry.local"
KINDS = ("v2", "v3", "docker")
_CONFIG = """version: 0.1
log: {{fields: {{service: registry}}}}
storage: {{filesystem: {{rootdirectory: {storage}}}}}
http:
  addr: '0.0.0.0:{port}'
"""
_TLS = "  tls: {certificate: /certs/registry.crt, key: /certs/registry.key}\n"
_UNIT = """[Unit]
Description=registry of the lab
[Service]
Environment=OTEL_TRACES_EXPORTER=none
ExecStart={words}
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
_DAEMON = '{"storage-driver": "overlay2", "exec-opts": ["native.cgroupdriver=cgroupfs"]}\n'
# The image registry:2 is made of Debian's program, the libraries it names, and a configuration.
_IMPORT = r"""set -e
root=$(mktemp -d)
mkdir -p "$root/bin" "$root/etc/docker/registry" "$root/tmp"
cp /usr/bin/docker-registry "$root/bin/registry"
cp /usr/lib/lab/config.yml "$root/etc/docker/registry/config.yml"
ldd /usr/bin/docker-registry | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done
tar -C "$root" -c . | docker import -c 'ENTRYPOINT ["/bin/registry"]' \
    -c 'CMD ["serve", "/etc/docker/registry/config.yml"]' \
    -c 'VOLUME ["/var/lib/registry"]' -c 'EXPOSE 5000' - registry:2
rm -r "$root"
"""
# The guide's own command, with what it leaves out: a name, and a policy to start again.
RUN = """docker run -d --name registry --restart=always -p 443:5000 \\
    -e REGISTRY_HTTP_TLS_CERTIFICATE=/certs/registry.crt \\
    -e REGISTRY_HTTP_TLS_KEY=/certs/registry.key \\
    -v /certs:/certs \\
    -v /var/lib/docker/registry:/var/lib/registry \\
    registry:2
"""
_RESTART = {
    "v2": "systemctl restart docker-registry",
    "v3": "systemctl restart registry",
    "docker": "docker restart registry",
}


@dataclass(frozen=True, kw_only=True)
class Registry:
    """One of the three on its machine; the same certificate and key files for each."""

    kind: str
    machine: Machine

    @property
    def storage(self) -> str:
        return "/var/lib/docker/registry" if self.kind == "docker" else "/var/lib/registry"

    @property
    def reload(self) -> dict[str, str]:
        """The site file's words for what loads a new pair."""
        if self.kind == "docker":
            return {"container": "registry", "reload": "container"}
        unit = {"v2": "docker-registry", "v3": "registry"}[self.kind]
        return {"reload": f"unit:{unit}.service"}

    def prepare(self, leaf: Pair) -> None:
        """Write everything it needs, before its machine is booted."""
        machine = self.machine
        machine.write("/certs/registry.crt", leaf.pem)
        machine.write("/certs/registry.key", leaf.key_pem, 0o600)
        config = _CONFIG.format(storage="/var/lib/registry", port=443) + _TLS
        if self.kind == "docker":
            machine.write("/etc/docker/daemon.json", _DAEMON)
            plain = _CONFIG.format(storage="/var/lib/registry", port=5000)
            machine.write("/usr/lib/lab/config.yml", plain)
            machine.enable("containerd", on=True)
            machine.enable("docker", on=True)
        elif self.kind == "v2":
            machine.write("/etc/docker/registry/config.yml", config)
            words = "/usr/bin/docker-registry serve /etc/docker/registry/config.yml"
            self._enable("docker-registry", words)
        else:
            machine.shared["/usr/lib/lab"] = go_programs("registry")
            machine.write("/etc/distribution/config.yml", config)
            words = "/usr/lib/lab/registry serve /etc/distribution/config.yml"
            self._enable("registry", words)

    def _enable(self, unit: str, words: str) -> None:
        text = _UNIT.format(words=words)
        self.machine.write(f"/etc/systemd/system/{unit}.service", text)
        self.machine.enable(unit, on=True)

    def start(self) -> None:
        """Start it on its booted machine and wait until it listens."""
        if self.kind == "docker":
            until("dockerd", lambda: self._says("docker info"), 60)
            self.machine.run(_IMPORT + RUN)
        self.wait()

    def serve(self, *chain: Pair) -> None:
        """Have it serve `chain`, its key being that of the first."""
        self.machine.write("/certs/registry.crt", b"".join(each.pem for each in chain))
        self.machine.write("/certs/registry.key", chain[0].key_pem, 0o600)
        self.machine.run(_RESTART[self.kind])
        self.wait()

    def wait(self) -> None:
        until("the registry", lambda: self._says("ss -ltn | grep -q ':443 '"), 30)

    def _says(self, program: str) -> bool:
        return self.machine.run(program, check=False).returncode == 0


def binds_of(folder: Path) -> dict[str, Path]:
    """What the registry's machine keeps on a real disk: overlay needs one below it."""
    return {"/var/lib/docker": folder / "docker", "/var/lib/containerd": folder / "containerd"}


def names() -> dict[str, str]:
    """Names for this machine's hosts file."""
    return {HOST: ADDRESSES["registry"], "n1": ADDRESSES["n1"], "n2": ADDRESSES["n2"]}
