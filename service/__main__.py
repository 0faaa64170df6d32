"""`python -m service`: the API with its coordinator, or one part alone with `--only`."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from pydantic import ValidationError

from search_spaces.log import write_to_stderr
from search_spaces.problems import InvalidSpec, Problem

from .settings import READS_AT_ONCE, VERBS_AT_ONCE, Settings
from .starting import importing

if TYPE_CHECKING:
    from wsgiref.simple_server import WSGIServer

    from store import Store

    from .supervision import Supervised

PARTS = ("api", "coordinator", "clock", "dashboard")
START_FAILED = 1
WRONG_SETTINGS = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that the arguments name until SIGTERM or SIGINT; return the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = _settings(options)
    except ValidationError as error:
        return _say_wrong_settings(error)
    write_to_stderr("service", settings.log_format, settings.log_level)
    stop, news = threading.Event(), threading.Event()
    if options.with_parent:
        _stop_with_parent(news)
    try:
        if options.restore_from is not None:
            _restore(options.restore_from, settings)
        return _run(options.only, settings, stop, news, options.copy_to)
    except (Problem, OSError) as error:
        sys.stderr.write(f"etude: {error}\n")
        return WRONG_SETTINGS if isinstance(error, InvalidSpec) else START_FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m service", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="run one part alone")
    parser.add_argument("--host", help="address to listen on (ETUDE_HOST, 127.0.0.1)")
    parser.add_argument("--port", type=int, help="port of the API (ETUDE_PORT, 8000)")
    parser.add_argument("--dashboard-port", type=int, help="port of the dashboard (ETUDE_DASHBOARD_PORT, 8080)")
    parser.add_argument(
        "--copy-to", type=Path, metavar="FILE",
        help="copy an embedded store to FILE after each change and at the end; leases of an earlier service hold anew",
    )  # fmt: skip
    parser.add_argument(
        "--restore-from", type=Path, metavar="FILE", help="first put such a copy in the place of the embedded store"
    )
    parser.add_argument("--with-parent", action="store_true", help=argparse.SUPPRESS)
    return parser


def _settings(options: argparse.Namespace) -> Settings:
    given = {name: getattr(options, name) for name in ("host", "port", "dashboard_port")}
    return Settings(**{name: value for name, value in given.items() if value is not None})


def _say_wrong_settings(error: ValidationError) -> int:
    for row in error.errors():
        name = "_".join(str(part) for part in row["loc"]).upper()
        sys.stderr.write(f"ETUDE_{name}: {row['msg'].removeprefix('Value error, ')}\n")
    return WRONG_SETTINGS


def _stop_with_parent(news: threading.Event) -> None:
    from .supervision import stop_with_parent

    # A signal, so that a server that waits for connections hears of it too.
    stop_with_parent(lambda: os.kill(os.getpid(), signal.SIGTERM), hear=news.set)


def _restore(copy: Path, settings: Settings) -> None:
    from store.copies import put_copy

    put_copy(copy, settings.store_url)


def _run(
    part: str | None, settings: Settings, stop: threading.Event, news: threading.Event, copy_to: Path | None
) -> int:
    _listen(stop, news)
    if part == "coordinator":
        return _coordinate(settings, stop, news)
    if part == "clock":
        return _keep_time(settings, stop)
    if part == "dashboard":
        return _show_dashboard(settings, stop)
    return _serve(settings, alone=part == "api", copy_to=copy_to)


def _listen(stop: threading.Event, news: threading.Event) -> None:
    def hear(_number: int, _frame: FrameType | None) -> None:
        stop.set()
        news.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)


def _say_ready(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _coordinate(settings: Settings, stop: threading.Event, news: threading.Event) -> int:
    with importing():
        from store import open_store

        from .coordinator import Coordinator
        from .priority import give_way
        from .pulse import pulse_of
        from .supervision import STOP_SECONDS, leave_in

    give_way()  # it draws ahead of demand; an answer that waits for a draw comes tenths of a second late
    store = open_store(settings.store_url, lease_seconds=settings.lease_seconds)
    coordinator = Coordinator(store, pulse=pulse_of(settings.pulse_file))

    def leave() -> None:
        coordinator.give_up_on(stop)
        leave_in(STOP_SECONDS)

    try:
        threading.Thread(target=leave, name="leaving", daemon=True).start()
        coordinator.work(stop, news)
    finally:
        store.close()
    return 0


def _keep_time(settings: Settings, stop: threading.Event) -> int:
    with importing():
        from store import open_store

        from .opening import seal_webhooks
        from .timekeeping import Timekeeping

    store = open_store(settings.store_url, lease_seconds=settings.lease_seconds)
    try:
        seal_webhooks(store, settings)
        with Timekeeping(store, settings):
            stop.wait()
    finally:
        store.close()
    return 0


def _show_dashboard(settings: Settings, stop: threading.Event) -> int:
    with importing():
        from store import open_store

        from .dashboard import dashboard_application, dashboard_server
        from .keyring import Keyring
        from .opening import prepare_tokens

    # Opened before Optuna does: its tables, and an early word when the store is out of reach.
    store = open_store(settings.store_url, pool_size=2)
    try:
        prepare_tokens(store, settings)
        application = dashboard_application(settings.store_url, Keyring(store), settings)
        server = dashboard_server(application, settings.host, settings.dashboard_port)
        _serve_pages(server, settings, stop)
    finally:
        store.close()
    return 0


def _serve_pages(server: WSGIServer, settings: Settings, stop: threading.Event) -> None:
    thread = threading.Thread(target=server.serve_forever, name="dashboard", daemon=True)
    thread.start()
    _say_ready(f"Optuna dashboard (read-only): {_address(settings.host, server.server_port)}/dashboard")
    stop.wait()
    server.shutdown()
    server.server_close()


def _serve(settings: Settings, *, alone: bool, copy_to: Path | None = None) -> int:
    """Serve the API; unless it is to be `alone`, with a coordinator and a clock."""
    with importing():
        from store import open_store

        from .opening import prepare_tokens, seal_webhooks
        from .supervision import Supervised, command_for
        from .timekeeping import Timekeeping

    listener = _bind(settings.host, settings.port)
    store = open_store(settings.store_url, pool_size=READS_AT_ONCE, lease_seconds=settings.lease_seconds)
    try:
        prepare_tokens(store, settings)
        seal_webhooks(store, settings)
    except BaseException:
        listener.close()
        store.close()
        raise
    for_verbs = store.for_verbs(VERBS_AT_ONCE)
    coordinator = None if alone else Supervised(command_for("coordinator"), _environment(settings))
    time_is_kept = contextlib.nullcontext() if alone else Timekeeping(store, settings, coordinator)
    try:
        with _copied(store, copy_to), _at_work(coordinator), time_is_kept:
            _serve_http(settings, listener, store, for_verbs, coordinator)
    finally:
        for_verbs.close()
        store.close()
    return 0


@contextlib.contextmanager
def _at_work(coordinator: Supervised | None) -> Iterator[None]:
    if coordinator is None:
        yield
        return
    coordinator.start()
    try:
        yield
    finally:
        coordinator.stop()


def _copied(store: Store, to: Path | None) -> contextlib.AbstractContextManager[object]:
    """Go on from what another service has left, and leave the same; the last copy holds all that was written."""
    if to is None:
        return contextlib.nullcontext()
    from store.copies import prolong_leases

    from .copying import Copying

    prolong_leases(store)
    return Copying(store, to)


def _environment(settings: Settings) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("ETUDE_ADMIN_TOKEN", "ETUDE_WEBHOOK_KEY")}
    # A process's environment is easier to look into than a file: the password stays where it is.
    return kept | {"ETUDE_DATABASE_URL": settings.place}


def _bind(host: str, port: int) -> socket.socket:
    """Listen before anything else starts, so that a taken port is said at once and in plain words."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # By the protocol's name asyncio knows to send at once (TCP_NODELAY); else an answer's second packet waits 40 ms
    # for the client's acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port} ({error.strerror}); set ETUDE_PORT") from error
    return listener


def _serve_http(
    settings: Settings, listener: socket.socket, store: Store, for_verbs: Store, coordinator: Supervised | None
) -> None:
    with importing():
        from .app import create_app
        from .server import Server

    ready = f"Étude: {_address(settings.host, listener.getsockname()[1])} (API at /docs)"
    application = create_app(store, settings, coordinator, for_verbs)
    Server(application, settings.drain_seconds, lambda: _say_ready(ready)).run(sockets=[listener])


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


if __name__ == "__main__":
    sys.exit(main())
