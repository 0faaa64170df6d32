"""Ports: whether they are free, and what to set where they are not."""

from __future__ import annotations

import socket

from .settings import PartsSettings


class PortTaken(OSError):
    """A port is in use already; the text names the variable that chooses another."""


def check_ports(settings: PartsSettings) -> None:
    """Look whether both ports are free.

    Raises:
        PortTaken: one is not; the text names the variable to set.
    """
    for name, port in (("ETUDE_PORT", settings.port), ("ETUDE_DASHBOARD_PORT", settings.dashboard_port)):
        if not is_free(settings.host, port):
            raise PortTaken(
                f"port {port} on {settings.host} is in use, perhaps by another `etude up`: "
                f"stop that, or set {name} to a free port"
            )


def is_free(host: str, port: int) -> bool:
    """Tell whether a server could listen at (host, port) now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do it: a port whose last connections are still winding down counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free just now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(address: tuple[str, int]) -> bool:
    """Tell whether somebody accepts connections at `address`."""
    try:
        with socket.create_connection(address, timeout=1.0):
            return True
    except OSError:
        return False
