"""Tasks whose images are files: MNIST's and CIFAR-10's formats, folders of pictures, and what is said without them."""

from __future__ import annotations

import hashlib
import json
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from etude.task import Split, offer
from search_spaces.candidate import Candidate
from search_spaces.problems import InvalidSpec
from workers import vision
from workers.tasks import image_folder, images
from workers.tasks.cifar10 import Cifar10Resnet
from workers.tasks.image_folder import ImageFolder, samples
from workers.tasks.images import load
from workers.tasks.mnist import FashionMnistCnn, MnistCnn
from workers.tasks.pictures import cut_of
from workers.training import Training

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
Bytes = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty root for data sets, of which nothing is remembered afterwards."""
    monkeypatch.setenv("ETUDE_DATA_SETS", str(tmp_path))
    monkeypatch.delenv("ETUDE_IMAGE_FOLDERS", raising=False)
    load.cache_clear()
    samples.cache_clear()
    return tmp_path


# MNIST


def idx(array: Bytes) -> bytes:
    """An array in MNIST's own format (IDX): a magic number with type and dimensions, the sizes, the bytes."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_mnist(folder: Path, counts: tuple[int, int]) -> Bytes:
    """MNIST's four files with random images; returns those for training and validation."""
    folder.mkdir(parents=True)
    drawn = np.random.default_rng(0)
    first = None
    for part, count in zip(("train", "t10k"), counts, strict=True):
        pixels = drawn.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        (folder / f"{part}-images-idx3-ubyte").write_bytes(idx(pixels))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))
        first = pixels if first is None else first
    assert first is not None
    return first


def test_mnist_is_read_from_its_own_files(root: Path) -> None:
    """A twelfth of the training file judges, the rest trains, each image once; bytes are normalised in a batch."""
    assert not offer(MnistCnn).available
    written = write_mnist(root / "MNIST" / "raw", (240, 30))
    task = MnistCnn()

    splits = {split: load(MnistCnn, split, "cpu") for split in SPLITS}

    assert offer(MnistCnn).available
    assert [len(labels) for _, labels in splits.values()] == [220, 20, 30]
    together = torch.cat([splits["train"][0], splits["validation"][0]]).flatten(1)
    assert sorted(together.tolist()) == sorted(written.reshape(240, -1).tolist())
    shown, labels = task.batch(0, seed=1)
    assert shown.shape == (64, 1, 28, 28)
    pixels, known = splits["train"]
    for image, label in zip((shown * 0.3081 + 0.1307) * 255, labels, strict=True):
        place = int((pixels - image).abs().flatten(1).sum(1).argmin())
        assert torch.allclose(image, pixels[place].float(), atol=1e-3)
        assert known[place] == label


def test_fashion_mnist_is_another_folder(root: Path) -> None:
    """The same format in a folder of its own; what it lacks is named with the command that fetches it."""
    write_mnist(root / "MNIST" / "raw", (24, 5))

    reason = str(offer(FashionMnistCnn).reason)

    assert "FashionMNIST/raw/train-images-idx3-ubyte is not under" in reason
    assert reason.endswith("run python -m workers.tasks.fetch fashion-mnist")


# CIFAR-10


def write_cifar(root: Path, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """CIFAR-10's seven files, `count` images each; torchvision's checksums are set to theirs."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    kind = vision.torchvision("datasets").CIFAR10
    drawn = np.random.default_rng(0)

    def write(name: str, content: dict[str, Any]) -> list[str]:
        written = pickle.dumps(content)
        (folder / name).write_bytes(written)
        return [name, hashlib.md5(written).hexdigest()]

    def batch() -> dict[str, Any]:
        return {"data": drawn.integers(0, 256, (count, 3072), dtype=np.uint8), "labels": [n % 10 for n in range(count)]}

    monkeypatch.setattr(kind, "train_list", [write(f"data_batch_{number}", batch()) for number in range(1, 6)])
    monkeypatch.setattr(kind, "test_list", [write("test_batch", batch())])
    names = write("batches.meta", {"label_names": [str(number) for number in range(10)]})
    monkeypatch.setattr(kind, "meta", {"filename": names[0], "key": "label_names", "md5": names[1]})


def test_cifar_is_read_from_its_own_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the training images judges; colours come first, as torch wants them."""
    assert not offer(Cifar10Resnet).available
    write_cifar(root, monkeypatch, 60)

    counts = [len(load(Cifar10Resnet, split, "cpu")[1]) for split in SPLITS]

    assert offer(Cifar10Resnet).available
    assert counts == [270, 30, 60]
    first = pickle.loads((root / "cifar-10-batches-py" / "test_batch").read_bytes())["data"][0]
    assert torch.equal(load(Cifar10Resnet, "test", "cpu")[0][0].flatten(), torch.from_numpy(first))


def test_training_images_are_shifted_and_mirrored() -> None:
    """Each is its original moved by up to four pixels each way, zeros moving in; about half of them are mirrored."""
    originals = torch.from_numpy(np.random.default_rng(0).integers(1, 256, (128, 3, 32, 32), dtype=np.uint8))
    padded = torch.nn.functional.pad(originals, (4, 4, 4, 4))
    mirrored = padded.flip(3)

    shown = Cifar10Resnet().disturbed(originals, step=5, seed=2)

    found = []
    for place, image in enumerate(shown):
        found += [
            (row, column, flipped)
            for row in range(9)
            for column in range(9)
            for flipped, views in ((False, padded), (True, mirrored))
            if torch.equal(image, views[place, :, row : row + 32, column : column + 32])
        ]
    assert len(found) == 128
    assert {row for row, _, _ in found} == {column for _, column, _ in found} == set(range(9))
    assert 40 < sum(flipped for _, _, flipped in found) < 88


def test_synthetic_images_stand_in_for_no_data_set() -> None:
    """What benchmarks train on says so in its name, is offered by no worker, and has the data set's shape."""
    task = images.synthetic(MnistCnn)
    task.counts = (120, 12)

    shown, _ = task().batch(0, seed=0)

    assert (task.name, task.version) == ("mnist-cnn-synthetic", "synthetic")
    assert shown.shape == (64, 1, 28, 28)
    assert not offer(MnistCnn).available


# Folders of pictures


def write_pictures(folder: Path, count: int) -> None:
    """Two classes of pictures of unequal sizes: one reddish, one bluish."""
    drawn = np.random.default_rng(0)
    for label, name in enumerate(("blue", "red")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = drawn.integers(0, 60, (40 + number % 7, 44, 3), dtype=np.uint8)
            pixels[:, :, 2 * (1 - label)] += 150
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture
def colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that the operator has named `colours`."""
    folder = tmp_path / "pictures"
    write_pictures(folder, 30)
    monkeypatch.setenv("ETUDE_IMAGE_FOLDERS", json.dumps({"colours": str(folder)}))
    return folder


SMALL = {"folder": "colours", "network": "mobilenet_v3_small", "size": 32}


def test_a_study_names_folders_and_never_paths(colours: Path) -> None:
    """The offer lists the operator's names; anything else, such as a path, is refused."""
    offered = offer(ImageFolder)

    assert offered.available
    assert offered.params_schema["properties"]["folder"]["enum"] == ["colours"]
    assert str(colours) not in offered.model_dump_json()
    for folder in (str(colours), "../pictures", "others"):
        with pytest.raises(InvalidSpec, match="is none of colours") as caught:
            ImageFolder({"folder": folder})
        assert caught.value.field == "task.params.folder"


def test_pretrained_networks_are_those_whose_weights_are_here(colours: Path, root: Path) -> None:
    """Weights that were fetched make a network's pretrained twin known, with these weights but for the last layer."""
    assert "resnet18-pretrained" not in image_folder.networks()
    original = vision.torchvision("models").get_model("mobilenet_v3_small")
    (root / "weights").mkdir()
    torch.save(original.state_dict(), root / "weights" / "mobilenet_v3_small.pth")

    task = ImageFolder(SMALL | {"network": "mobilenet_v3_small-pretrained"})
    backbone, head = task.groups(task.model(0))

    assert "mobilenet_v3_small-pretrained" in image_folder.networks()
    before = list(original.parameters())[:-2]
    assert all(torch.equal(a, b) for a, b in zip(backbone["params"], before, strict=True))
    assert [tuple(parameter.shape) for parameter in head["params"]] == [(2, 1024), (2,)]


def test_every_picture_is_in_one_split(colours: Path) -> None:
    """One folder a class is split 80/10/10, the same way every time."""
    divided, classes = samples(colours)

    assert classes == ["blue", "red"]
    assert [len(divided[split]) for split in SPLITS] == [48, 6, 6]
    assert len({path for split in SPLITS for path, _ in divided[split]}) == 60


def test_parts_that_the_operator_made_are_kept(tmp_path: Path) -> None:
    """Folders train, val and test are the splits; without one of them, or with other classes, the reason is told."""
    for part in ("train", "val", "test"):
        write_pictures(tmp_path / "parted" / part, 2)
    (tmp_path / "lacking" / "train" / "red").mkdir(parents=True)

    divided, _ = samples(tmp_path / "parted")

    assert all(Path(path).parts[-3] == "val" for path, _ in divided["validation"])
    assert image_folder.fault_of(tmp_path / "parted") is None
    assert "needs train, validation and test" in str(image_folder.fault_of(tmp_path / "lacking"))
    assert "is not a folder" in str(image_folder.fault_of(tmp_path / "nowhere"))
    (tmp_path / "parted" / "test" / "green").mkdir()
    assert "different classes" in str(image_folder.fault_of(tmp_path / "parted"))


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on a machine with one core
def test_a_training_on_pictures_goes_on_where_it_stopped(colours: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two processes of a DataLoader, a trial resumed in the middle of an epoch ends as if it had never stopped."""
    monkeypatch.setenv("ETUDE_LOADER_PROCESSES", "2")
    monkeypatch.setattr(ImageFolder, "steps_per_epoch", 4)
    monkeypatch.setattr(ImageFolder, "batch_size", 8)
    candidate = Candidate.model_validate(
        {"optimizer": {"kind": "adam"}, "initial_lr": 0.001, "schedule": {"kind": "cosine"}}
    )
    tasks = [ImageFolder(SMALL) for _ in range(3)]
    whole = Training(tasks[0], candidate, horizon_steps=6, seed=1)
    ends = [evaluation.value for evaluation in whole.evaluations(lambda: False)]

    stopped = Training(tasks[1], candidate, horizon_steps=6, seed=1)
    _ = list(stopped.evaluations(lambda: stopped.step == 5))
    resumed = Training(tasks[2], candidate, horizon_steps=6, seed=1, start=stopped.state())
    [end] = [evaluation.value for evaluation in resumed.evaluations(lambda: False)]
    # Else their processes are ended by whoever collects garbage next, five seconds each.
    for task in tasks:
        task.close()

    assert stopped.step == 5
    assert end == ends[-1]
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), resumed.model.parameters(), strict=True))


def test_what_is_cut_out_lies_in_the_picture() -> None:
    """Whatever the numbers, rows and columns are inside, and the area is at least a quarter but for rounding."""
    for numbers in np.random.default_rng(0).random((500, 5)).tolist():
        top, left, rows, columns = cut_of(60, 90, numbers)

        assert top >= 0
        assert left >= 0
        assert top + rows <= 60
        assert left + columns <= 90
        assert rows * columns > 0.23 * 60 * 90


def test_without_anything_the_reasons_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """No folder, no torchvision: each is told in words that can be acted upon."""
    assert "set ETUDE_IMAGE_FOLDERS" in str(offer(ImageFolder).reason)

    monkeypatch.setattr(vision, "installed", lambda: False)

    for task in (MnistCnn, Cifar10Resnet, ImageFolder):
        assert offer(task).reason == "torchvision is not installed: pip install torchvision"


def test_torchvision_is_imported_whatever_torch_it_was_built_for() -> None:
    """Its data sets and models are there, and a second import finds the first."""
    datasets = vision.torchvision("datasets")

    assert datasets.MNIST.__name__ == "MNIST"
    assert vision.torchvision("datasets") is datasets
    assert vision.torchvision().__name__ == "torchvision"
