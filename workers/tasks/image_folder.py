"""The task `image-folder`: pictures in folders named after their classes, and a network of torchvision's.

Which folders there are is the setting ETUDE_IMAGE_FOLDERS of the worker, a study names one of them; so nothing that a
study says reaches another file. A folder has either one folder a class, and is split once and for all 80/10/10, or the
folders `train`, `validation` (or `val`) and `test` with one folder a class in each. An epoch is 100 batches: it goes
on in the pictures where the last one ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, field_validator
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from etude.task import LoadedTask, Split
from search_spaces.model import Model

from .. import randomness, vision
from ..vision import torchvision
from .classification import classified
from .data_sets import DataSettings
from .pictures import Pictures, Sample

HEADS = {"resnet18": "fc", "resnet34": "fc", "resnet50": "fc", "mobilenet_v3_small": "classifier.3"}
"""Networks of torchvision, and the name of each one's last layer."""
PRETRAINED = "-pretrained"
"""Ends the names of networks that start from torchvision's weights for ImageNet."""
SPLIT_SEED = 2009
VALIDATION = ("validation", "val")
UNNAMED = """no folder is named: set ETUDE_IMAGE_FOLDERS='{"flowers": "path/to/flowers"}' for the worker"""

Examples = tuple[Tensor, Tensor]
"""Pictures (n, 3, size, size) float32, normalised, and labels (n,) int64."""


def networks() -> list[str]:
    """Return the names of the networks that can be trained here; a pretrained one needs its weights."""
    return [*HEADS, *(f"{name}{PRETRAINED}" for name in HEADS if weights_of(name).is_file())]


def weights_of(network: str) -> Path:
    """Return where a network's weights are once `python -m workers.tasks.fetch` has fetched them."""
    return DataSettings().root / "weights" / f"{network}.pth"


def _name_what_is_here(schema: dict[str, Any]) -> None:
    """List in the offer's schema what studies may name, so that anything else is refused when it is submitted."""
    schema["properties"]["folder"]["enum"] = sorted(DataSettings().image_folders)
    schema["properties"]["network"]["enum"] = networks()


class ImageFolderParams(Model):
    """What a study may set."""

    model_config = ConfigDict(json_schema_extra=_name_what_is_here)

    folder: str
    """The name of a folder, as the worker's operator has set it."""
    network: str = "resnet18"
    size: Annotated[int, Field(ge=32, le=512)] = 128
    """Height and width of what the network sees."""

    @field_validator("folder")
    @classmethod
    def _is_named(cls, folder: str) -> str:
        return _one_of(folder, DataSettings().image_folders)

    @field_validator("network")
    @classmethod
    def _is_known(cls, network: str) -> str:
        return _one_of(network, networks())


def _one_of(name: str, names: Iterable[str]) -> str:
    names = list(names)
    if name not in names:
        raise ValueError(f"{name!r} is none of {', '.join(names)}")
    return name


class ImageFolder(LoadedTask):
    """A network of torchvision on the pictures of a folder, batch 32, judged by the cross-entropy in nats."""

    name = "image-folder"
    version = "1"
    Params = ImageFolderParams
    params: ImageFolderParams
    metric = "loss"
    further_metrics = ("accuracy",)
    epochs = 10
    steps_per_epoch = 100
    batch_size = 32
    channels_last = True
    parameter_groups = ("backbone", "head")

    @classmethod
    def available(cls) -> str | None:
        """Tell whether torchvision is installed, and whether every folder that is named can be read."""
        if not vision.installed():
            return vision.MISSING
        folders = DataSettings().image_folders
        if not folders:
            return UNNAMED
        faults = (f"{name}: {fault}" for name, path in folders.items() if (fault := fault_of(path)))
        return next(faults, None)

    def model(self, seed: int) -> nn.Module:  # noqa: ARG002 -- torch is seeded by the caller
        """Return the network with a fresh last layer: (n, 3, size, size) -> (n, classes)."""
        name = self.params.network.removesuffix(PRETRAINED)
        network: nn.Module = torchvision("models").get_model(name, weights=None)
        if self.params.network.endswith(PRETRAINED):
            network.load_state_dict(torch.load(weights_of(name), weights_only=True))
        last = network.get_submodule(HEADS[name])
        assert isinstance(last, nn.Linear)
        network.set_submodule(HEADS[name], nn.Linear(last.in_features, len(self._classes)))
        return network.to(self.device)

    def groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """Return the last layer as `head`, everything before it as `backbone`."""
        head = list(model.get_submodule(HEADS[self.params.network.removesuffix(PRETRAINED)]).parameters())
        of_head = {id(parameter) for parameter in head}
        backbone = [parameter for parameter in model.parameters() if id(parameter) not in of_head]
        return [{"params": backbone, "name": "backbone"}, {"params": head, "name": "head"}]

    def loader(self, split: Split, seed: int, epoch: int) -> Iterable[Examples]:
        """Return a DataLoader over an epoch's pictures, or over all of a split that judges."""
        pictures = self._shown(seed, epoch) if split == "train" else Pictures(self._samples[split], self.params.size)
        return DataLoader(
            pictures,
            batch_size=self.batch_size,
            num_workers=DataSettings().loader_processes,
            generator=torch.Generator().manual_seed(seed),
        )

    def loss(self, model: nn.Module, batch: Examples) -> Tensor:
        """Return the mean cross-entropy of a batch, in nats."""
        pictures, labels = batch
        return functional.cross_entropy(model(pictures), labels)

    def metrics(self, model: nn.Module, batch: Examples) -> dict[str, Tensor]:
        """Return the mean cross-entropy (nats) and the share of pictures named rightly."""
        pictures, labels = batch
        return classified(model(pictures), labels)

    @property
    def _samples(self) -> Mapping[Split, list[Sample]]:
        return samples(DataSettings().image_folders[self.params.folder])[0]

    @property
    def _classes(self) -> list[str]:
        return samples(DataSettings().image_folders[self.params.folder])[1]

    def _shown(self, seed: int, epoch: int) -> Pictures:
        """Return the pictures of an epoch in their order, with what is cut out of each."""
        given, count = self._samples["train"], self.steps_per_epoch * self.batch_size
        shown: list[Sample] = []
        whole, first = divmod(epoch * count, len(given))
        while len(shown) < first + count:
            order = randomness.permutation(len(given), seed=seed, epoch=whole)
            shown += [given[row] for row in order.tolist()]
            whole += 1
        return Pictures(shown[first : first + count], self.params.size, seed=seed, epoch=epoch)


@cache
def samples(folder: Path) -> tuple[Mapping[Split, list[Sample]], list[str]]:
    """Return the paths and labels of each split, and the classes by label."""
    kind = torchvision("datasets").ImageFolder
    validation = _validation(folder)
    if validation is None:
        return _divided(kind(str(folder)))
    parts: dict[Split, Any] = {
        "train": kind(str(folder / "train")),
        "validation": kind(str(validation)),
        "test": kind(str(folder / "test")),
    }
    return {split: part.samples for split, part in parts.items()}, parts["train"].classes


def _divided(whole: Any) -> tuple[Mapping[Split, list[Sample]], list[str]]:
    order = randomness.permutation(len(whole.samples), seed=SPLIT_SEED, epoch=0).tolist()
    tenth = len(order) // 10
    rows: dict[Split, list[int]] = {
        "validation": order[:tenth],
        "test": order[tenth : 2 * tenth],
        "train": order[2 * tenth :],
    }
    return {split: [whole.samples[row] for row in chosen] for split, chosen in rows.items()}, whole.classes


def _validation(folder: Path) -> Path | None:
    """Return the folder of the validation pictures where the operator has split them."""
    return next((folder / name for name in VALIDATION if (folder / name).is_dir()), None)


def fault_of(folder: Path) -> str | None:
    """Return why a folder cannot be trained on, or None."""
    if not folder.is_dir():
        return f"{folder} is not a folder"
    parts = [folder / "train", _validation(folder), folder / "test"]
    there = [part for part in parts if part is not None and part.is_dir()]
    if 0 < len(there) < len(parts):
        return f"{folder} needs train, validation and test, or one folder a class"
    classes = [sorted(each.name for each in part.iterdir() if each.is_dir()) for part in there or [folder]]
    if len(classes[0]) < 2:
        return f"{folder} has fewer than two classes"
    return f"the parts of {folder} have different classes" if any(each != classes[0] for each in classes) else None
