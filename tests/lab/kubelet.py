"""What makes a machine a node of the cluster: containerd, CNI, kubelet and kube-proxy."""

from __future__ import annotations

import json

from lab.control import Control
from lab.machines import Machine
from lab.network import ADDRESSES, PODS
from lab.pki import party
from lab.programs import go_programs
from lab.registries import HOST

CLUSTER_DNS = "10.96.0.10"
_PAUSE = f"{HOST}/pause:3.9"
_CERTS_D = f"/etc/containerd/certs.d/{HOST}"
_KUBE = "/etc/kubernetes"
CONTAINERD = {
    "n1": f"""version = 2

[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{_PAUSE}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "/etc/containerd/certs.d"
""",
    "n2": f"""version = 3

[plugins.'io.containerd.cri.v1.runtime']
  restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{_PAUSE}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "/etc/containerd/certs.d"
""",
}
HOSTS_TOML = f"""server = "https://{HOST}"

[host."https://{HOST}"]
  capabilities = ["pull", "resolve"]
  ca = "{_CERTS_D}/ca.crt"
"""
# Machines share the outer cgroup tree: a kubelet with the same root would end another's pods.
# Written by hand because a cgroup of version 1 begins without processors and memory nodes.
_PREPARE = """#!/bin/sh
for place in /sys/fs/cgroup/*; do
    [ "$place" != /sys/fs/cgroup/unified ] || continue
    mount -o remount,bind,rw "$place"
    mkdir -p "$place/lab-$1"
    for each in cpuset.cpus cpuset.mems; do
        [ ! -e "$place/$each" ] || cat "$place/$each" > "$place/lab-$1/$each"
    done
done
ln -sf /dev/null /dev/kmsg
"""
_PREPARE_UNIT = """[Unit]
Before=containerd.service docker.service kubelet.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/lab-cgroups {name}
[Install]
WantedBy=multi-user.target
"""
_KUBELET_UNIT = f"""[Unit]
After=containerd.service
StartLimitIntervalSec=0
[Service]
ExecStart=/opt/kubernetes/kubelet --config={_KUBE}/kubelet.json \\
    --kubeconfig={_KUBE}/kubelet.kubeconfig --hostname-override={{name}} --node-ip={{address}}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
# 0 leaves a kernel setting alone that cannot be written inside.
_PROXY_UNIT = f"""[Unit]
StartLimitIntervalSec=0
[Service]
ExecStart=/opt/kubernetes/kube-proxy --kubeconfig={_KUBE}/proxy.kubeconfig \\
    --hostname-override={{name}} --proxy-mode=iptables --cluster-cidr=10.244.0.0/16 \\
    --conntrack-max-per-core=0 --conntrack-tcp-timeout-established=0 \\
    --conntrack-tcp-timeout-close-wait=0
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""
NEWER = "[Service]\nExecStart=\nExecStart=/usr/local/bin/containerd\n"


def prepare_cgroups(machine: Machine) -> None:
    """Have the machine make its own cgroups writable before anything needs them."""
    machine.write("/usr/lib/lab-cgroups", _PREPARE, 0o755)
    unit = "/etc/systemd/system/lab-cgroups.service"
    machine.write(unit, _PREPARE_UNIT.format(name=machine.name))
    machine.enable("lab-cgroups", on=True)


def prepare_node(machine: Machine, control: Control, ca: bytes) -> None:
    """Write everything a node needs, before it is booted; `ca` is the registry's."""
    prepare_cgroups(machine)
    machine.shared["/opt/kubernetes"] = go_programs("kubernetes")
    _write_runtime(machine, ca)
    name, address = machine.name, ADDRESSES[machine.name]
    serving = party(control.ca, name, names=(name, address))
    machine.write(f"{_KUBE}/ca.crt", control.ca.pem)
    machine.write(f"{_KUBE}/kubelet.crt", serving.pem)
    machine.write(f"{_KUBE}/kubelet.key", serving.key_pem, 0o600)
    machine.write(f"{_KUBE}/kubelet.json", json.dumps(_kubelet_config(name)))
    own = control.kubeconfig_of(f"system:node:{name}", "system:nodes")
    machine.write(f"{_KUBE}/kubelet.kubeconfig", own, 0o600)
    proxy = control.kubeconfig_of("system:kube-proxy")
    machine.write(f"{_KUBE}/proxy.kubeconfig", proxy, 0o600)
    for unit, text in (("kubelet", _KUBELET_UNIT), ("kube-proxy", _PROXY_UNIT)):
        filled = text.format(name=name, address=address)
        machine.write(f"/etc/systemd/system/{unit}.service", filled)
    for unit in ("containerd", "kubelet", "kube-proxy"):
        machine.enable(unit, on=True)


def _write_runtime(machine: Machine, ca: bytes) -> None:
    machine.write("/etc/containerd/config.toml", CONTAINERD[machine.name])
    machine.write(f"{_CERTS_D}/ca.crt", ca)
    machine.write(f"{_CERTS_D}/hosts.toml", HOSTS_TOML)
    hosts = f"127.0.0.1 localhost\n::1 localhost\n{ADDRESSES['registry']} {HOST}\n"
    machine.write("/etc/hosts", hosts)
    network = {
        "cniVersion": "0.4.0", "name": "lab",
        "plugins": [
            {
                "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": True,
                "hairpinMode": True,
                "ipam": {
                    "type": "host-local", "ranges": [[{"subnet": PODS[machine.name]}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }  # fmt: skip
    machine.write("/etc/cni/net.d/10-lab.conflist", json.dumps(network))
    if machine.name == "n2":
        for program in go_programs("containerd").iterdir():
            machine.write(f"/usr/local/bin/{program.name}", program.read_bytes(), 0o755)
        machine.write("/etc/systemd/system/containerd.service.d/newer.conf", NEWER)


def _kubelet_config(name: str) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False}, "webhook": {"enabled": True},
            "x509": {"clientCAFile": f"{_KUBE}/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{_KUBE}/kubelet.crt", "tlsPrivateKeyFile": f"{_KUBE}/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs", "cgroupRoot": f"/lab-{name}", "failCgroupV1": False,
        "failSwapOn": False, "localStorageCapacityIsolation": False,
        "clusterDNS": [CLUSTER_DNS], "clusterDomain": "cluster.local",
        "evictionHard": {"memory.available": "50Mi"},
    }  # fmt: skip
