"""Stands between a worker and a script: whatever becomes of either, nothing of the script is left running.

Started by path with the standard library alone (`python -I -S supervisor.py GRACE STATUS_FD COMMAND...`). Standard
input is the worker's hold: a byte on it asks for the end, and so does its end, which comes with the worker's own,
however that dies. SIGTERM goes to the script's process group; after GRACE seconds SIGKILL goes to every descendant,
those in sessions of their own (torchrun's ranks, daemons) included. STATUS_FD is told in lines of JSON `pid`, then
`status` (negative: the signal) or `error`.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ASKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LOOK_SECONDS = 0.02


def main(arguments: list[str]) -> int:
    """Start the command, watch it, end it when asked."""
    grace_seconds, status = float(arguments[0]), int(arguments[1])
    os.set_inheritable(status, False)
    woken = wake_on_signals()
    control = prctl()
    control(PR_SET_CHILD_SUBREAPER, 1)
    try:
        # A group of its own, and SIGKILL should this process be killed: then nobody else is left to end it.
        script = subprocess.Popen(
            arguments[2:],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=lambda: control(PR_SET_PDEATHSIG, int(signal.SIGKILL)),  # noqa: PLW1509 - a system call
        )
    except OSError as error:
        tell(status, error=f"{arguments[2]}: {error.strerror or error}")
        return 1
    tell(status, pid=script.pid)
    ended = watch(script, woken)
    if ended:
        tell(status, status=script.returncode)
    end(script, grace_seconds)
    if not ended:
        tell(status, status=script.returncode)
    return 0


def prctl() -> Callable[[int, int], int]:
    """Return Linux's prctl with two arguments; elsewhere what does nothing."""
    if not sys.platform.startswith("linux"):
        return lambda _option, _value: 0
    call = ctypes.CDLL(None, use_errno=True).prctl
    return lambda option, value: int(call(option, value, 0, 0, 0))


def wake_on_signals() -> int:
    """Return a descriptor on which every signal that concerns us can be read."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (*ASKING, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    return reader


def tell(descriptor: int, **fields: object) -> None:
    """Write a line to the worker; one that is gone hears nothing."""
    try:
        os.write(descriptor, f"{json.dumps(fields)}\n".encode())
    except BrokenPipeError:
        return


def watch(script: subprocess.Popen[bytes], woken: int) -> bool:
    """Wait until the script has ended (True) or somebody asks for its end (False)."""
    while True:
        if script.poll() is not None:
            return True
        ready, _, _ = select.select([0, woken], [], [])
        if 0 in ready:
            return False
        if any(number in ASKING for number in os.read(woken, 256)):
            return script.poll() is not None


def end(script: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """End whatever is left of the script: SIGTERM to its group, after the grace SIGKILL to all of it."""
    if next(left(script), None) is not None:
        send_group(script, signal.SIGTERM)
    give_up = time.monotonic() + grace_seconds
    while next(left(script), None) is not None and time.monotonic() < give_up:
        time.sleep(LOOK_SECONDS)
    while (alive := list(left(script))) != []:
        send_group(script, signal.SIGKILL)
        for pid in alive:
            send(pid, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)


def left(script: subprocess.Popen[bytes]) -> Iterator[int]:
    """Yield the processes of the script that live, with or without Linux's /proc."""
    script.poll()
    reap(script)
    if os.path.isdir("/proc/self"):  # noqa: PTH112 -- the standard library's fastest, in a process that imports little
        yield from descendants(os.getpid())
    elif group_lives(script):
        yield script.pid


def reap(script: subprocess.Popen[bytes]) -> None:
    """Let the dead go that came to us as orphans; the script's own end is `Popen`'s to take."""
    for pid in list(children_of_all().get(os.getpid(), ())):
        if pid != script.pid:
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                continue


def descendants(root: int) -> Iterator[int]:
    """Yield the living below a process, children first."""
    children, near = children_of_all(), [root]
    while near:
        near = [pid for parent in near for pid in children.get(parent, ())]
        yield from near


def children_of_all() -> dict[int, list[int]]:
    """Return every process by its parent, zombies left out unless they are ours to take."""
    found: dict[int, list[int]] = {}
    if not os.path.isdir("/proc/self"):  # noqa: PTH112
        return found
    own = os.getpid()
    for name in os.listdir("/proc"):  # noqa: PTH208
        if not name.isdecimal():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state not in (b"Z", b"X") or int(parent) == own:
            found.setdefault(int(parent), []).append(int(name))
    return found


def group_lives(script: subprocess.Popen[bytes]) -> bool:
    """Tell whether anybody of the script's process group lives."""
    try:
        os.killpg(script.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def send_group(script: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal the script's process group."""
    try:
        os.killpg(script.pid, number)
    except (ProcessLookupError, PermissionError):
        return


def send(pid: int, number: signal.Signals) -> None:
    """Signal one process, unless it is gone."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
