"""A token that is known to the test is looked for wherever a service writes: it is found nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from tests.machine import descendants, started

ASKED = (("GET", "/v1/tokens"), ("POST", "/v1/studies"), ("GET", "/v1/nothing"), ("DELETE", "/v1/tokens/none"))
HOST = "hooks.example.com"
PATH, SIGNS = "services/path-of-a-webhook-1", "secret-of-a-webhook-1"
"""Whoever knows one of these can write to a channel."""
RECURRENCE: dict[str, Any] = {
    "name": "nightly",
    "cron": "@daily",
    "webhook": {"url": f"https://{HOST}/{PATH}", "secret": SIGNS},
    "template": {
        "task": {"name": "external"},
        "objective": {"metric": "loss", "direction": "minimize"},
        "horizon": {"steps": 100},
    },
}
CHOSEN = "etude_the-operators-own-0123456789-abcdefghij"


def test_secrets_are_in_no_log_no_error_and_no_store(tmp_path: Path) -> None:
    """The operator's token, one that it made, a session's cookie, a wrong token, a webhook, through a real service."""
    with started(tmp_path, ETUDE_ADMIN_TOKEN=CHOSEN, ETUDE_WEBHOOK_HOSTS=HOST) as machine:
        said: list[str] = []
        with httpx.Client(base_url=machine.settings.url, trust_env=False) as client:
            admin = {"Authorization": f"Bearer {CHOSEN}"}
            made = client.post("/v1/tokens", json={"name": "ci", "scopes": ["read"]}, headers=admin).json()["token"]
            entered = client.post("/login", data={"token": made})
            cookie = client.cookies["etude_session"]
            client.cookies.clear()
            secrets = [CHOSEN, made, cookie, f"{made}wrong"]
            for secret in secrets:
                bearer = {"Authorization": f"Bearer {secret}"}
                said += [client.request(method, path, headers=bearer).text for method, path in ASKED]
                said.append(client.get("/v1/studies", headers={"Cookie": f"etude_session={secret}"}).text)
                said.append(client.post("/login", data={"token": f"{secret}x"}).text)
                said.append(client.post("/v1/tokens", json={"name": secret}, headers=admin).text)
            said += [client.get("/v1/tokens", headers=admin).text, entered.text]
            kept = client.post("/v1/recurrences", json=RECURRENCE, headers=admin)
            assert kept.status_code == 201
            unlisted = {"webhook": RECURRENCE["webhook"] | {"url": f"https://evil.example/{PATH}"}}
            refused = client.patch("/v1/recurrences/nightly", json=unlisted, headers=admin)
            page = client.get("/v1/recurrences/nightly/page", headers=admin)
            said += [kept.text, refused.text, page.text, client.get("/v1/recurrences", headers=admin).text]
            secrets += [PATH, SIGNS]
            [service] = machine.parts
            surroundings = [Path(f"/proc/{child}/environ").read_bytes() for child in descendants(service.pid)]

    assert [secret for secret in secrets for text in said if secret in text] == []
    assert surroundings
    assert not any(CHOSEN.encode() in environ for environ in surroundings)
    written = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    assert b"etude_tokens" in written
    assert HOST.encode() in written
    assert [secret for secret in secrets if secret.encode() in written] == []
