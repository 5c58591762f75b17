"""A Debian that has Python and nothing else, entered without any network but loopback."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from lab.programs import cache
from support import needs

PACKAGES = ("python3", "python3-venv")
# Entered in namespaces of its own: what it mounts and starts ends with it.
_ENTER = """
mount --make-rprivate /
mount -t overlay bare -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
mkdir -p "$2/root/carried"
mount --bind "$3" "$2/root/carried"
mount -o remount,ro,bind "$2/root/carried"
mount -t proc proc "$2/root/proc"
ip link set lo up
root="$2/root" command="$4" user="$5"
shift 5
exec chroot "$user" "$root" /usr/bin/env -i "$@" sh -ec "$command"
"""


def debian(suite: str) -> Path:
    """The root of `suite`, made once and kept outside the clone."""
    if sys.platform != "linux" or os.getuid() != 0:
        needs.absent("a bare root needs Linux and root")
    needs.program("mmdebstrap")
    digest = hashlib.sha256(" ".join([suite, *PACKAGES]).encode()).hexdigest()[:16]
    folder = cache() / f"bare-{digest}"
    if folder.is_dir():
        return folder
    cache().mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=cache()))
    draft.chmod(0o755)
    include = f"--include={','.join(PACKAGES)}"
    words = ["mmdebstrap", "--quiet", "--variant=minbase", include, suite, draft]
    subprocess.run(words, check=True)
    if folder.is_dir():
        shutil.rmtree(draft)  # another worker was first
    else:
        draft.rename(folder)
    return folder


def enter(
    root: Path,
    command: str,
    *,
    carried: Path,
    user: str = "0:0",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the shell lines `command` in a copy of `root` that sees `carried` as /carried."""
    with tempfile.TemporaryDirectory(prefix="gapcheck-bare-") as place:
        for part in ("upper", "work", "root"):
            (Path(place) / part).mkdir()
        unshare = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec"]
        words = [*unshare, _ENTER, "sh", root, place, carried, command, f"--userspec={user}"]
        path = "/usr/local/bin:/usr/local/sbin:/usr/bin:/usr/sbin:/bin:/sbin"
        settings = {"PATH": path, "HOME": "/root", "LANG": "C.UTF-8", **(environment or {})}
        words += [f"{name}={value}" for name, value in settings.items()]
        return subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
