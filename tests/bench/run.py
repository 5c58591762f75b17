"""All benchmarks, each in a process of its own; ratios are of one run on one machine."""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent

for name in ("startup.py", "judging.py", "reports.py", "pages.py", "fanout.py"):
    subprocess.run([sys.executable, HERE / name], check=True)
