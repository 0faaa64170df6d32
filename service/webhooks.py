"""Webhooks: to whom the operator lets recurrences speak, and the one request that tells them.

A host has to be on the operator's list. Its addresses are looked up once, each has to be public or in a network that
the operator names, and the connection goes to one of those looked up: a name that answers differently a moment later
leads nowhere else. Redirects are not followed.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, urlsplit

from search_spaces.problems import InvalidSpec
from search_spaces.recurrence import WebhookSpec

from .settings import Settings, words

TIMEOUT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}
TRANSLATED = ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16")
"""Public addresses that stand for others, which may not be."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NotDelivered(Exception):
    """A message could not be handed over; the text says why."""


@dataclass(frozen=True)
class Allowed:
    """Whom recurrences may tell, as the operator's settings say."""

    hosts: frozenset[str]
    """`host` for the usual port of the URL's scheme, or `host:port`."""
    networks: tuple[Network, ...]

    @classmethod
    def by(cls, settings: Settings) -> Self:
        """Read the settings."""
        networks = tuple(ipaddress.ip_network(network) for network in words(settings.webhook_networks))
        return cls(frozenset(host.lower() for host in words(settings.webhook_hosts)), networks)

    def refusal(self, url: str) -> str | None:
        """Say why a URL may not be called; None where it may."""
        try:
            parts, port = urlsplit(url), port_of(url)
        except ValueError as error:
            return str(error)
        host = (parts.hostname or "").lower()
        if parts.scheme not in PORTS or not host:
            return "an http or https URL with a host is meant"
        if parts.username is not None or parts.password is not None:
            return "a URL may hold no name and password"
        named = f"{host}:{port}" in self.hosts or (port == PORTS[parts.scheme] and host in self.hosts)
        return (
            None if named else f"the operator of this service does not let it call {host}:{port} (ETUDE_WEBHOOK_HOSTS)"
        )

    def lets_reach(self, address: Address) -> bool:
        """Tell whether an address is public, or in a network that the operator names."""
        mapped = getattr(address, "ipv4_mapped", None) or address
        if any(mapped in network for network in self.networks if network.version == mapped.version):
            return True
        translated = any(mapped in ipaddress.ip_network(network) for network in TRANSLATED if mapped.version == 6)
        return mapped.is_global and not mapped.is_multicast and not translated


def port_of(url: str) -> int:
    """Return the port that a URL names or means; ValueError where it is none."""
    parts = urlsplit(url)
    return parts.port if parts.port is not None else PORTS.get(parts.scheme, 0)


def check_webhook(webhook: WebhookSpec, allowed: Allowed) -> None:
    """Refuse a webhook that would not be called.

    Raises:
        InvalidSpec: `field` is `webhook.url`.
    """
    refusal = allowed.refusal(webhook.url)
    if refusal is not None:
        raise InvalidSpec(refusal, field="webhook.url")


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """Return the header that signs a message: HMAC-SHA256 of "<timestamp>.<body>".

    >>> signature("0123456789abcdef", 1, b"{}")[:16]
    't=1,v1=2af693cb5'
    """
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def post(url: str, body: bytes, headers: Mapping[str, str], allowed: Allowed) -> None:
    """Send one message and wait at most some seconds for a 2xx.

    Raises:
        NotDelivered: the operator does not allow it, nobody took it, or the answer is another one.
    """
    refusal = allowed.refusal(url)
    if refusal is not None:
        raise NotDelivered(refusal)
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _connection(parts, port_of(url), _address(parts.hostname or "", port_of(url), allowed))
        try:
            connection.request("POST", target, body, dict(headers))
            status = connection.getresponse().status
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotDelivered(f"{type(error).__name__}: {error}") from error
    if not 200 <= status < 300:
        raise NotDelivered(f"it answered with {status}{'; redirects are not followed' if status // 100 == 3 else ''}")


def _address(host: str, port: int, allowed: Allowed) -> str:
    """Look the host up and return an address; every one has to be allowed."""
    found = [str(row[4][0]) for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for address in found:
        if not allowed.lets_reach(ipaddress.ip_address(address.partition("%")[0])):
            raise NotDelivered(f"{host} is at {address}, which is not public (ETUDE_WEBHOOK_NETWORKS)")
    return found[0]


def _connection(parts: SplitResult, port: int, address: str) -> http.client.HTTPConnection:
    """Connect to an address that was looked up before, as to the host that the URL names."""
    host = parts.hostname or ""
    plain = socket.create_connection((address, port), timeout=TIMEOUT_SECONDS)
    if parts.scheme == "http":
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        connection.sock = plain
        return connection
    try:
        secure = ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise
    connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS)
    connection.sock = secure
    return connection
