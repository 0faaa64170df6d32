"""The task `embedding`: its snippets, its splits, its sparse gradients, and what stands in the way without sources."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from etude.task import Split, offer
from workers.tasks import embedding
from workers.tasks.embedding import MODULES, ROWS, SIZES, WIDTH, Embedding, load, rows, snippets

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@pytest.fixture
def nothing_read() -> Iterator[None]:
    """What was read of the library is forgotten before and after."""
    snippets.cache_clear()
    yield
    snippets.cache_clear()


def test_snippets_are_the_librarys_own_lines() -> None:
    """A module's snippets are its source without blank lines, three at a time, in order and each once."""
    source = inspect.getsource(importlib.import_module("difflib"))
    written = [line.strip() for line in source.splitlines() if line.strip()]

    found = snippets("difflib")

    threes = ["\n".join(three) for three in zip(written[::3], written[1::3], written[2::3], strict=False)]
    assert found == list(dict.fromkeys(threes))
    assert len(found) > 500


def test_the_splits() -> None:
    """200, 50 and 50 snippets of each module, and no two splits share one."""
    examples = [load(split, "cpu") for split in SPLITS]

    assert [len(labels) for _, labels in examples] == [SIZES[split] * len(MODULES) for split in SPLITS]
    for (bags, labels), split in zip(examples, SPLITS, strict=True):
        assert bags.shape == (SIZES[split] * len(MODULES), WIDTH)
        assert torch.bincount(labels).tolist() == [SIZES[split]] * len(MODULES)
        assert (int(bags.min()), int(bags.max()) < ROWS) == (0, True)


def test_no_snippet_is_in_two_splits() -> None:
    """The 300 of a module are drawn once each: only what two modules both say, in the same words, is shared."""
    seen = [{tuple(bag) for bag in load(split, "cpu")[0].tolist()} for split in SPLITS]

    shared = len(seen[0] & seen[1]) + len(seen[0] & seen[2]) + len(seen[1] & seen[2])

    assert shared < 10


def test_words_and_pairs_share_no_row_with_the_padding() -> None:
    """A snippet's rows are those of its words, then of its neighbouring pairs; the rest is padding."""
    alone, other = rows("import")[0], rows("os")[0]

    found = rows("import os")

    assert found[:2] == [alone, other]
    assert found[2] not in (0, alone, other)
    assert found[3:] == [0] * (WIDTH - 3)
    assert 0 not in rows(" ".join(f"w{number}" for number in range(WIDTH)))


def test_an_epoch_shows_each_snippet_once() -> None:
    """50 batches of 64 hold the 3,200 training snippets, in another order in each epoch and for each seed."""
    task = Embedding()

    batches = [task.batch(step, seed=3) for step in range(50, 100)]

    assert [len(labels) for _, labels in batches] == [64] * 50
    shown = torch.cat([bags for bags, _ in batches])
    everything, _ = load("train", "cpu")
    assert sorted(shown.tolist()) == sorted(everything.tolist())
    assert not torch.equal(task.batch(0, seed=3)[0], batches[0][0])
    assert not torch.equal(task.batch(50, seed=4)[0], batches[0][0])
    assert torch.equal(Embedding().batch(50, seed=3)[0], batches[0][0])


def test_every_gradient_is_sparse() -> None:
    """Nothing in the model needs a dense gradient, so that optimizers for sparse ones train all of it."""
    task = Embedding()
    model = task.model(0)

    task.loss(model, task.batch(0, seed=0)).backward()

    assert all(parameter.grad is not None and parameter.grad.is_sparse for parameter in model.parameters())
    assert offer(Embedding).sparse_gradients


@pytest.mark.usefixtures("nothing_read")
def test_without_the_sources_it_is_not_available(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A Python without its library's sources says which are lacking, and a worker does not offer the task."""
    monkeypatch.setattr(embedding.sysconfig, "get_path", lambda _name: str(tmp_path))
    (tmp_path / "typing.py").write_text("".join(f"x = {number}\n\n" for number in range(900)))

    offered = offer(Embedding)

    assert not offered.available
    assert "argparse" in str(offered.reason)
    assert "typing" not in str(offered.reason)
