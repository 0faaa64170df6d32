"""How long `import etude` takes, in fresh processes: wall and CPU time beside an interpreter that imports nothing.

    python -m benchmarks.importing

The client's models are loaded with the first answer, so that moment is measured, too.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

GOAL_SECONDS = 0.3
STATEMENTS = {
    "nothing": "pass",
    "import httpx": "import httpx",
    "import etude": "import etude",
    "from etude import Client": "from etude import Client",
    "and the first answer's models": "from etude import Client; import search_spaces.results",
    "import etude.torch": "import etude.torch",
}


def measure(statement: str) -> tuple[float, float]:
    """Return wall and CPU seconds of a process that does this and ends."""
    before, start = _cpu_seconds(), time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start, _cpu_seconds() - before


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure in turn, so that a slow moment of the machine meets all of them, and print medians and spread."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--with-torch", action="store_true", help="measure etude.torch, too (seconds a round)")
    options = parser.parse_args()
    statements = {name: text for name, text in STATEMENTS.items() if options.with_torch or "torch" not in text}
    for text in statements.values():
        measure(text)  # compiled and in the cache of the file system
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in statements}
    for _ in range(options.rounds):
        for name, text in statements.items():
            seen[name].append(measure(text))
    print(f"Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}, {options.rounds} rounds; seconds:")
    print(f"{'':32}{'wall':>8}{'min':>8}{'max':>8}{'CPU':>8}")
    for name, pairs in seen.items():
        walls, cpu = [wall for wall, _ in pairs], statistics.median(used for _, used in pairs)
        print(f"{name:32}{statistics.median(walls):8.3f}{min(walls):8.3f}{max(walls):8.3f}{cpu:8.3f}")
    nothing, client = (statistics.median(w for w, _ in seen[name]) for name in ("nothing", "from etude import Client"))
    print(f"the client costs {client - nothing:.3f} s more than nothing; the goal is {GOAL_SECONDS} s")


if __name__ == "__main__":
    main()
