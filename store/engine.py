"""Opening the store, and the one way in which a transaction begins and fails."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from search_spaces.problems import InvalidSpec, StoreUnavailable

from .places import refuse_shared
from .sql import POSTGRESQL, SQLITE, Dialect, statement

LEASE_SECONDS = 60.0
BUSY_SECONDS = 30
RESTED_SECONDS = 1.0
READ_ONLY = "readonly database"
"""In what SQLite says when its file may not be written."""


class Store:
    """A database that holds the store's tables, opened.

    `lease_seconds` is how long a claim or a report keeps a trial. Every method that reads or writes takes the
    store as its first argument and opens a transaction of its own.
    """

    def __init__(self, engine: Engine, url: str, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self.engine = engine
        self.url = url
        self.lease_seconds = lease_seconds
        self.dialect: Dialect = POSTGRESQL if engine.dialect.name == "postgresql" else SQLITE

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Run one write transaction; on SQLite it holds the write lock from its first moment.

        Raises:
            StoreUnavailable: the database cannot be reached, is locked, full or read-only; nothing was written.
        """
        with unavailable_as_problem(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Run one transaction that only reads, and so never waits for a writer on SQLite."""
        with (
            unavailable_as_problem(),
            self.engine.connect().execution_options(etude_begin="BEGIN") as connection,
            connection.begin(),
        ):
            yield connection

    def now(self, connection: Connection) -> float:
        """Return the database's clock, in seconds since 1970."""
        return float(connection.execute(statement(f"SELECT {self.dialect.now}")).scalar_one())

    def ping(self) -> None:
        """Raise `StoreUnavailable` unless the database answers."""
        with self.read() as connection:
            connection.exec_driver_sql("SELECT 1")

    def for_verbs(self, pool_size: int) -> Store:
        """Return this store for who speaks the verbs alone, with connections of its own on PostgreSQL, to be closed."""
        if self.dialect.name != "postgresql":
            return self
        engine = make_engine(self.url, pool_size=pool_size, keeps_plans=True)
        return Store(engine, self.url, lease_seconds=self.lease_seconds)

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def unavailable_as_problem() -> Iterator[None]:
    """Turn what the driver raises when the database is away, locked or full into `StoreUnavailable`."""
    try:
        yield
    except (OperationalError, PoolTimeout) as error:
        raise StoreUnavailable(_advice(error)) from error
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        raise StoreUnavailable(_advice(error)) from error


def _advice(error: Exception) -> str:
    words = str(getattr(error, "orig", None) or error).strip().splitlines()
    first = words[0] if words else type(error).__name__
    if "too many clients" in first or "remaining connection slots" in first:
        return f"{first}; raise PostgreSQL's max_connections, or let workers use the service (ETUDE_URL)"
    if "disk is full" in first or READ_ONLY in first:
        return f"{first}; nothing was written, and work goes on when there is room and permission"
    return first


def open_store(
    url: str,
    *,
    pool_size: int = 5,
    upgrade: bool = True,
    lease_seconds: float = LEASE_SECONDS,
    keeps_plans: bool = False,
) -> Store:
    """Open the store at an SQLAlchemy `url` (sqlite:///file or postgresql://...).

    With `upgrade` the tables are brought up to date first, by one process at a time; without it a store of
    another version is an error. `keeps_plans` is for who speaks verbs alone, as workers do (`Store.for_verbs`).

    Raises:
        StoreUnavailable: the database cannot be reached.
        search_spaces.problems.Conflict: the tables are of a version that this one does not know.
    """
    engine = make_engine(url, pool_size=pool_size, keeps_plans=keeps_plans)
    store = Store(engine, url, lease_seconds=lease_seconds)
    from .upgrade import bring_up_to_date, check_version  # alembic is only loaded where it is needed

    try:
        with unavailable_as_problem():
            if upgrade:
                bring_up_to_date(store)
            check_version(store)
    except BaseException:
        store.close()
        raise
    return store


_PLANS_FOR_EACH = "-c plan_cache_mode=force_custom_plan"
"""For reads of all sorts: a plan for the values of the call and the size of the tables, never one of earlier days."""
_KEPT_PLANS = (
    "-c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off"
    " -c enable_mergejoin=off -c enable_bitmapscan=off"
)
"""For the verbs, whose statements take longer to plan than to execute: a plan is made once a connection.

It may be made while the tables are empty, and has to suit them when they are not. So it may neither read a table from
end to end nor join in any way but by nested loops, from the few rows that a call is about, by index. Measured with
plans of an empty store on 50,000 trials that were never analysed: 7 ms a trial, where plans for each call took 57."""


def make_engine(url: str, *, pool_size: int = 5, keeps_plans: bool = False) -> Engine:
    """Create the engine for `url` with UTC sessions, time-outs and honest transactions.

    Raises:
        InvalidSpec: it is no URL of a database that the store knows.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite_engine(url, pool_size)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    arguments = {
        # Optuna writes naive UTC: a session in another zone would shift every time it compares.
        "options": "-c timezone=UTC -c statement_timeout=30000 -c lock_timeout=15000"
        " -c idle_in_transaction_session_timeout=60000"
        f" {_KEPT_PLANS if keeps_plans else _PLANS_FOR_EACH} -c jit=off",
        "keepalives": 1,
        "keepalives_idle": 30,
        "connect_timeout": 5,
        "application_name": "etude",
    }
    if keeps_plans:
        arguments["prepare_threshold"] = 1  # a statement is prepared when it comes for the second time
    engine = create_engine(parsed, pool_size=pool_size, max_overflow=0, pool_timeout=30, connect_args=arguments)
    _ping_rested(engine)
    return engine


def _parsed(url: str) -> URL:
    """Read a URL; where it is refused it is not repeated, for it may hold a password."""
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgres":
            parsed = parsed.set(drivername="postgresql")
        parsed.get_dialect()
    except ArgumentError:
        backend = None
    else:
        backend = parsed.get_backend_name()
    if backend not in ("sqlite", "postgresql"):
        words = "it is no URL of a store: sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE is meant"
        raise InvalidSpec(words, field="ETUDE_DATABASE_URL")
    return parsed


def _ping_rested(engine: Engine) -> None:
    """Ask a connection that has rested whether it lives, before it is used; one in use just now is taken to.

    SQLAlchemy's own ping is a round trip before each transaction, a fifth of a short one. Where a connection in use
    dies, one verb fails as it would have in its middle, every connection is given up, and the caller tries again.
    """

    @event.listens_for(engine, "checkin")
    def _rest(_connection: Any, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _fairy: Any) -> None:
        if time.monotonic() - record.info.get("rests_since", math.inf) < RESTED_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error


def _sqlite_engine(url: str, pool_size: int) -> Engine:
    file = make_url(url).database
    if not file or file == ":memory:":
        raise ValueError("an embedded store is a file: several processes share it")
    refuse_shared(Path(file))
    Path(file).absolute().parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "handle_error")
    def _open_anew(context: ExceptionContext) -> None:
        # A connection that was opened while the file was read-only stays so, whatever becomes of the file.
        if READ_ONLY in str(context.original_exception):
            context.is_disconnect = True

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # IMMEDIATE: a deferred transaction that reads first cannot wait for its turn to write.
        connection.exec_driver_sql(connection.get_execution_options().get("etude_begin", "BEGIN IMMEDIATE"))

    return engine
