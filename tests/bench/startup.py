"""What a start costs, as multiples of a bare Python start on the same machine."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 7


def seconds(*command: str) -> float:
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter()
        subprocess.run(command, capture_output=True, check=False)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def main() -> None:
    bare = seconds(sys.executable, "-c", "pass")
    for words in (["--help"], ["check", "--help"], ["list"]):
        taken = seconds(sys.executable, "-m", "gapcheck", *words)
        shown = " ".join(["gapcheck", *words])
        print(f"start-up: {shown:<22} {taken:.2f} s, {taken / bare:.1f}x of a bare Python start")


if __name__ == "__main__":
    main()
