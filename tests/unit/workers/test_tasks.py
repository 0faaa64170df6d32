"""The tasks on handwritten digits: their splits, their noise, and that they can be learnt."""

from __future__ import annotations

import pytest
import torch

from etude.task import Split, offer
from search_spaces.candidate import Candidate
from search_spaces.problems import NotFound
from workers.tasks import TASKS, named
from workers.tasks.digits import DigitsMlp, load
from workers.tasks.digits_noisy import DigitsNoisy, disturbed, fixed, shifted
from workers.training import Training

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def test_the_registry() -> None:
    """Tasks go by their names; one that is not there is refused with those that are."""
    assert named(["digits-noisy"]) == {"digits-noisy": DigitsNoisy}

    with pytest.raises(NotFound, match="digits-mlp, digits-noisy, embedding, f"):
        named(["digits-mlp", "imagenet"])


@pytest.mark.parametrize(("name", "steps"), [("digits-mlp", 510), ("digits-noisy", 510), ("embedding", 400)])
def test_what_is_offered(name: str, steps: int) -> None:
    """All decide by the validation cross-entropy after 30 epochs of 17 updates, or 8 of 50; their data are at hand."""
    offered = offer(TASKS[name])

    assert (offered.metric, offered.direction) == ("validation_loss", "minimize")
    assert offered.further_metrics == ["validation_accuracy"]
    assert offered.horizon.steps == steps
    assert offered.available


def test_the_splits() -> None:
    """1077, 360 and 360 images on the [0, 1] scale: together the 1,797, each once."""
    from sklearn.datasets import load_digits

    splits = [load(split, "cpu")[0] for split in SPLITS]

    assert [len(images) for images in splits] == [1077, 360, 360]
    together = torch.cat(splits)
    assert (float(together.min()), float(together.max())) == (0.0, 1.0)
    original = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    assert torch.equal(torch.unique(together, dim=0), torch.unique(original, dim=0))


def test_an_epoch_shows_each_example_once() -> None:
    """17 batches of an epoch hold 1,077 examples, images beside their labels; the last batch has 53."""
    task = DigitsMlp()

    batches = [task.batch(step, seed=3) for step in range(17, 34)]

    assert [len(labels) for _, labels in batches] == [64] * 16 + [53]
    images, labels = load("train", "cpu")
    shown = torch.cat([torch.column_stack((x, y)) for x, y in batches])
    assert torch.equal(torch.unique(shown, dim=0), torch.unique(torch.column_stack((images, labels)), dim=0))


def test_batches_are_functions_of_step_and_seed() -> None:
    """A batch is the same in whatever order batches are asked for, and differs between steps and seeds."""
    task, other = DigitsNoisy(), DigitsNoisy()
    late, early = task.batch(40, seed=1), task.batch(2, seed=1)

    assert torch.equal(other.batch(2, seed=1)[0], early[0])
    assert torch.equal(other.batch(40, seed=1)[0], late[0])
    assert not torch.equal(other.batch(3, seed=1)[0], early[0])
    assert not torch.equal(other.batch(2, seed=2)[0], early[0])


def test_the_noise() -> None:
    """What is added is Gaussian with a standard deviation of 0.35, drawn afresh in each epoch."""
    clean = shifted("train", "cpu")
    noises = []
    for draw in (0, 1):
        images = disturbed("train", "cpu", seed=5, draw=draw)
        distances = (clean - images).square().sum(dim=2)
        noises.append(images - clean[distances.argmin(dim=0), torch.arange(len(images))])

    for noise in noises:
        assert abs(float(noise.mean())) < 0.01
        assert abs(float(noise.std()) - 0.35) < 0.01
        assert abs(float(noise.abs().gt(0.35).float().mean()) - 0.3173) < 0.01
    assert abs(float(torch.corrcoef(torch.stack(noises).flatten(1))[0, 1])) < 0.02


def test_the_shifts() -> None:
    """The nine positions are the image moved by up to one pixel each way, filled with zeros."""
    images, _ = load("train", "cpu")
    image = images[0].view(8, 8)
    positions = shifted("train", "cpu")[:, 0].view(9, 8, 8)

    assert torch.equal(positions[4], image)
    assert torch.equal(positions[0][1:, 1:], image[:-1, :-1])
    assert float(positions[0][0].abs().sum()) == 0.0
    assert torch.equal(positions[5][:, :-1], image[:, 1:])
    assert torch.equal(positions[7][:-1], image[1:])


def test_every_shift_is_drawn_equally_often() -> None:
    """Over an epoch of noisy images, the positions that fit best come about equally often."""
    clean = shifted("train", "cpu")
    images = disturbed("train", "cpu", seed=5, draw=0)
    best = (clean - images).square().sum(dim=2).argmin(dim=0)

    counts = torch.bincount(best, minlength=9)

    assert int(counts.min()) > 80
    assert int(counts.max()) < 160


def test_what_judges_never_changes() -> None:
    """Validation and test are two draws each, the same in every process, and differ from each other."""
    images, labels = fixed("validation", "cpu")
    others, _ = fixed("test", "cpu")

    assert images.shape == (720, 64)
    assert torch.equal(labels[:360], labels[360:])
    assert not torch.equal(images[:360], images[360:])
    assert not torch.equal(images, others)


# What training gave when the version was declared: where this changes, the version has to.
GOLDEN = {("digits-mlp", "1"): 0.1252, ("digits-noisy", "1"): 1.0814}


@pytest.mark.parametrize("name", ["digits-mlp", "digits-noisy"])
def test_a_version_stands_for_its_results(name: str) -> None:
    """A full training of a fixed candidate ends where it did when the task's version was declared."""
    task = TASKS[name]
    spec = {
        "optimizer": {"kind": "sgd", "momentum": 0.9},
        "initial_lr": 0.05,
        "schedule": {"kind": "cosine", "warmup": {"fraction": 0.05}},
    }

    training = Training(task(), Candidate.model_validate(spec), horizon_steps=510, seed=0)
    *_, last = training.evaluations(lambda: False)

    assert last.value == pytest.approx(GOLDEN[name, str(task.version)], abs=0.005)
    assert last.further["validation_accuracy"] > {"digits-mlp": 0.94, "digits-noisy": 0.6}[name]
