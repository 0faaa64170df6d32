"""A script's processes: started under a supervisor, and ended with everything that they started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scripts import lives, until
from workers.scripts.output import BoundedLog, Listener
from workers.scripts.process import ScriptProcess

FAST = [sys.executable, "-I", "-S", "-c"]
FORKS = """
import os, signal, sys, time
if {deaf}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
for depth in range(2):
    if os.fork() == 0:
        if depth: os.setsid()
        if os.fork(): os._exit(0)
        break
print("pid", os.getpid(), flush=True)
time.sleep({seconds})
"""
"""A script with a child and a daemon in a session of its own, both of them orphans."""


LEAVES = """
import os, signal, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("pid", os.getpid(), flush=True)
    time.sleep(600)
"""


class Heard:
    """A started script, what it has printed and the pids that it has said."""

    def __init__(self, path: Path, code: str, grace_seconds: float = 5.0) -> None:
        self.lines: list[str] = []
        self.process = ScriptProcess([*FAST, code], directory=path, environ=os.environ, grace_seconds=grace_seconds)
        self.log = BoundedLog(path / "output.log", 4096)
        self.listener = Listener(self.process.output, self.log, self.lines.append)

    def pids(self, count: int) -> list[int]:
        until(lambda: len(self.lines) >= count)
        return [int(line.split()[1]) for line in self.lines]

    def close(self) -> None:
        self.process.kill()
        self.listener.join()
        self.process.close()
        self.log.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Heard]]:
    started: list[Heard] = []

    def begin(code: str, **fields: float) -> Heard:
        started.append(Heard(tmp_path, code, **fields))
        return started[-1]

    yield begin
    for one in started:
        one.close()


def test_a_script_that_ends_by_itself(start: Callable[..., Heard]) -> None:
    """Its status and all of its output are there when it is gone."""
    heard = start("print('one'); print('two\\rthree', end=''); raise SystemExit(3)")

    until(lambda: heard.process.gone and heard.listener.over)

    assert (heard.process.status, heard.process.was_killed) == (3, False)
    assert heard.lines == ["one", "two", "three"]


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are followed by Linux's subreaper")
@pytest.mark.parametrize("deaf", [False, True])
def test_asked_to_end_nothing_is_left(start: Callable[..., Heard], deaf: bool) -> None:
    """SIGTERM ends a script, its children and its daemons; who ignores it gets SIGKILL after the grace."""
    heard = start(FORKS.format(deaf=deaf, seconds=600), grace_seconds=0.3)
    pids = heard.pids(3)

    heard.process.end()
    until(lambda: heard.process.gone)

    assert not any(lives(pid) for pid in pids)
    assert heard.process.status == (-signal.SIGKILL if deaf else -signal.SIGTERM)
    assert not heard.process.was_killed


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are followed by Linux's subreaper")
def test_what_a_script_leaves_behind_is_ended(start: Callable[..., Heard]) -> None:
    """A script that ends well and leaves processes behind leaves none."""
    heard = start(LEAVES, grace_seconds=0.1)

    pids = heard.pids(1)
    until(lambda: heard.process.gone and heard.listener.over)

    assert heard.process.status == 0
    assert not lives(pids[0])


def test_a_script_that_is_killed_from_outside(start: Callable[..., Heard]) -> None:
    """Its signal tells it from a crash of its own."""
    heard = start("import os; print('pid', os.getpid(), flush=True); import time; time.sleep(600)")
    (pid,) = heard.pids(1)

    os.kill(pid, signal.SIGKILL)
    until(lambda: heard.process.gone)

    assert heard.process.status == -signal.SIGKILL
    assert heard.process.was_killed


def test_a_command_that_is_not_there(tmp_path: Path) -> None:
    """It is said in words."""
    process = ScriptProcess(["no-such-program"], directory=tmp_path, environ=os.environ, grace_seconds=1)

    until(lambda: process.gone)
    process.close()

    assert process.error == "no-such-program: No such file or directory"
    assert not process.was_killed


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are followed by Linux's subreaper")
def test_a_worker_that_is_killed_leaves_nothing(tmp_path: Path) -> None:
    """kill -9 of the process that has started a script ends the script, its children and its daemons."""
    starter = f"""
import os, sys, time
sys.path.insert(0, {str(Path.cwd())!r})
from pathlib import Path
from workers.scripts.process import ScriptProcess
process = ScriptProcess({[*FAST, FORKS.format(deaf=True, seconds=600)]!r}, directory=Path("."), environ=os.environ,
                        grace_seconds=0.2)
while True:
    sys.stdout.buffer.write(os.read(process.output.fileno(), 100)); sys.stdout.flush()
"""
    worker = subprocess.Popen([sys.executable, "-c", starter], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    pids = [int(worker.stdout.readline().split()[1]) for _ in range(3)]

    worker.kill()
    worker.wait()
    worker.stdout.close()

    until(lambda: not any(lives(pid) for pid in pids))


def test_the_log_keeps_head_and_tail(tmp_path: Path) -> None:
    """Of more output than the limit the beginning and the end are kept, and how much is not is said."""
    log = BoundedLog(tmp_path / "log", 100)

    for number in range(100):
        log.write(f"line {number:03}\n".encode())
    tail = log.tail(18)
    log.close()

    kept = (tmp_path / "log").read_text()
    assert tail == "line 098\nline 099\n"
    assert kept.startswith("line 000\nline 001\n")
    assert kept.endswith("line 098\nline 099\n")
    assert "... 800 bytes left out ..." in kept
    assert len(kept) < 140


def test_a_short_log_is_whole(tmp_path: Path) -> None:
    """What fits is kept as it is, and its tail is all of it."""
    log = BoundedLog(tmp_path / "log", 100)

    log.write(b"one\n" * 20)
    tail = log.tail()
    log.close()

    assert tail == (tmp_path / "log").read_text() == "one\n" * 20
