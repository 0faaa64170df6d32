"""What the demo decides before it starts anything; the demo itself is tried in tests/acceptance."""

from __future__ import annotations

import socket
from pathlib import Path

from etude.demo import own_settings
from etude.ports import free_port
from etude.settings import PartsSettings


def test_every_demo_has_a_store_of_its_own(tmp_path: Path) -> None:
    """A demo neither touches the user's store nor meets another demo's study of the same name."""
    settings = PartsSettings(data_dir=tmp_path, database_url="postgresql://somewhere/etude", port=free_port())

    own = own_settings(settings)

    assert own.data_dir.parent == tmp_path / "demo"
    assert own.store_url == f"sqlite:///{own.data_dir / 'etude.db'}"


def test_the_usual_ports_are_kept_where_they_are_free(tmp_path: Path) -> None:
    """People look at the addresses they know."""
    settings = PartsSettings(data_dir=tmp_path, port=free_port(), dashboard_port=free_port())

    own = own_settings(settings)

    assert (own.port, own.dashboard_port) == (settings.port, settings.dashboard_port)


def test_a_taken_port_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    """The demo runs beside an `etude up`."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        own = own_settings(PartsSettings(data_dir=tmp_path, port=port, dashboard_port=free_port()))

    assert own.port != port
