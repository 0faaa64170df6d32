"""docs/operations.md: the metrics that it names are those that are exported, and its alerts ask for nothing else."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from service.app import create_app
from service.settings import Settings
from store import Store, open_store
from tests.machine import ROOT
from tests.promises.documents import blocks
from workers.metrics import Standing, WorkerMetrics
from workers.settings import WorkerSettings

DOCUMENT = "docs/operations.md"
TEXT = (ROOT / DOCUMENT).read_text(encoding="utf-8")
NAME = re.compile(r"\betude_[a-z_]+")
ENDS = re.compile(r"_(bucket|count|sum)$")


@pytest.fixture(scope="module")
def store(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    file = tmp_path_factory.mktemp("operation") / "etude.db"
    shutil.copy(sqlite_template, file)
    opened = open_store(f"sqlite:///{file}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def exported(store: Store) -> dict[str, Any]:
    """Families of the service's page by the name that queries use, with their labels where they have samples."""
    client = TestClient(create_app(store, Settings()), base_url="http://127.0.0.1")
    client.get("/healthz")
    return {
        f"{family.name}_total" if family.type == "counter" else family.name: family
        for family in text_string_to_metric_families(client.get("/metrics").text)
    }


def of_workers() -> set[str]:
    """Names of a worker's metrics."""
    metrics = WorkerMetrics()
    standing = Standing(in_training=0, claimed=0, ended={}, store_is_away=False, usage=[])
    metrics._standing = lambda: standing  # type: ignore[assignment]
    registry = CollectorRegistry()
    registry.register(metrics)
    families = [*registry.collect(), *metrics._registry.collect()]
    return {f"{family.name}_total" if family.type == "counter" else family.name for family in families}


def test_the_tables_name_every_metric_and_no_other(exported: dict[str, Any]) -> None:
    """Those of the service and those of a worker."""
    documented = set(re.findall(r"^\| `(etude_[a-z_]+)` \|", TEXT, re.MULTILINE))

    assert documented == {name for name in exported if name.startswith("etude_")} | of_workers()


def test_labels_are_as_documented(exported: dict[str, Any]) -> None:
    """Of every metric that has samples on an empty store."""
    rows = dict(re.findall(r"^\| `(etude_[a-z_]+)` \|([^|]*)\|", TEXT, re.MULTILINE))

    looked_at = 0
    for name, family in exported.items():
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        if family.samples and name.startswith("etude_"):
            looked_at += 1
            assert set(re.findall(r"`(\w+)`", rows[name])) == labels, name
    assert looked_at > 15


def test_alerts_ask_for_metrics_that_are_there(exported: dict[str, Any]) -> None:
    """Every rule has a name of its own, a summary, and an expression over exported metrics."""
    [groups] = [yaml.safe_load(block.text)["groups"] for block in blocks(DOCUMENT) if "groups:" in block.text]
    rules = [rule for group in groups for rule in group["rules"]]

    assert len({rule["alert"] for rule in rules}) == len(rules) >= 10
    for rule in rules:
        names = {ENDS.sub("", name) for name in NAME.findall(rule["expr"])}
        assert names, rule
        assert names <= set(exported), rule
        assert rule["annotations"]["summary"]
        assert rule["expr"].count("(") == rule["expr"].count(")")


def test_settings_are_settings() -> None:
    """Every variable that the page names exists."""
    known = {f"ETUDE_{field.upper()}" for model in (Settings, WorkerSettings) for field in model.model_fields}

    named = set(re.findall(r"ETUDE_[A-Z_]+", TEXT))

    assert "ETUDE_LOG_FORMAT" in named
    assert named <= known
