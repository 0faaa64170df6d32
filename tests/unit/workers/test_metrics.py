"""A worker's own metrics, and what it says of its GPU."""

from __future__ import annotations

import argparse
import socket

import httpx
import pytest
import torch
from prometheus_client.parser import text_string_to_metric_families

from search_spaces.problems import InvalidSpec
from search_spaces.work import DeviceUsage
from store import Store
from store.workers import list_workers
from tests.small_task import fresh
from tests.wire import QUICK, Wire, propose, work
from workers import loop
from workers.__main__ import _metrics_flags, main
from workers.loop import Worker
from workers.metrics import WorkerMetrics
from workers.usage import usage_of

GPU = DeviceUsage(device="cuda:0", memory_used_bytes=2**30, memory_total_bytes=2**37, utilization=0.25)


def test_a_worker_shows_what_it_has_done(store: Store, wire: Wire) -> None:
    """Its verbs with their seconds, its trials by what ended them, and no GPU where there is none."""
    propose(store, count=2)
    metrics = WorkerMetrics()
    worker = Worker("w1", wire, {"nothing": fresh()}, timing=QUICK, observe=metrics.observe_verb)
    worker.work()

    with metrics.served(worker.standing, "127.0.0.1", 0) as port:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text

    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(page) for sample in family.samples
    }  # fmt: skip
    assert found["etude_worker_trials_ended_total", "complete"] == 2
    assert found["etude_worker_trials_claimed_total",] == 2
    assert found["etude_worker_trials",] == 0
    assert found["etude_worker_store_up",] == 1
    assert found["etude_worker_verb_duration_seconds_count", "finish"] == len(wire.requests("finish"))
    assert not [name for name in found if "gpu" in name[0]]


def test_an_address_that_is_taken_is_said(wire: Wire) -> None:
    """In plain words, with the flag that names another."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        worker = Worker("w1", wire, {"nothing": fresh()})
        served = WorkerMetrics().served(worker.standing, "127.0.0.1", other.getsockname()[1])

        with pytest.raises(InvalidSpec, match="--metrics-port: cannot listen"), served:
            pass


@pytest.mark.parametrize(
    ("flags", "variable"), [(["--metrics-port", "9100"], ""), ([], "9100")], ids=["flag", "variable"]
)
def test_a_fleet_has_no_port(
    flags: list[str], variable: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers come and go: the service tells of them."""
    if variable:
        monkeypatch.setenv("ETUDE_METRICS_PORT", variable)

    with pytest.raises(SystemExit):
        main(["--launcher", "local", *flags])

    assert "the service's /metrics tells" in capsys.readouterr().err


def test_heartbeats_tell_of_the_gpu(store: Store, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is at that moment."""
    monkeypatch.setattr(loop, "usage_of", lambda _device: [GPU])

    work(wire)

    assert list_workers(store)[0].usage == [GPU]


def test_a_cpu_has_no_usage() -> None:
    """It is absent, not zero."""
    assert usage_of("cpu") == []


@pytest.mark.parametrize("answers", [True, False], ids=["utilization", "none"])
def test_the_use_of_a_gpu_is_the_driver_s(answers: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory by all processes; a driver that does not say how busy it is leaves that out."""

    def utilization(_device: str) -> int:
        if not answers:
            raise ModuleNotFoundError("pynvml")
        return 25

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (2**37 - 2**30, 2**37))
    monkeypatch.setattr(torch.cuda, "utilization", utilization)

    [found] = usage_of("cuda:0")

    assert found == GPU.model_copy(update={"utilization": 0.25 if answers else None})


def test_devices_have_ports_that_follow_one_another() -> None:
    """One process for each device, and an address for each."""
    flags = argparse.Namespace(metrics_host="127.0.0.1", metrics_port=9100)

    assert [_metrics_flags(flags, place)[-1] for place in range(3)] == ["9100", "9101", "9102"]


@pytest.mark.parametrize(
    ("port", "expected"), [(None, []), (0, ["--metrics-host", "127.0.0.1", "--metrics-port", "0"])]
)
def test_no_port_and_any_port(port: int | None, expected: list[str]) -> None:
    """Without the flag nothing listens; 0 takes a free port in each process."""
    flags = argparse.Namespace(metrics_host="127.0.0.1", metrics_port=port)

    assert _metrics_flags(flags, 1) == expected
