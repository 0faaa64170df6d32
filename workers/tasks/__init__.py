"""The tasks that workers of this checkout can train, by name: one file each."""

from __future__ import annotations

from collections.abc import Iterable

from etude.task import Task
from search_spaces.problems import NotFound

from .charlm import Charlm
from .cifar10 import Cifar10Resnet
from .digits import DigitsMlp
from .digits_cnn import DigitsCnn
from .digits_noisy import DigitsNoisy
from .embedding import Embedding
from .finetune_digits import FinetuneDigits
from .image_folder import ImageFolder
from .mnist import FashionMnistCnn, MnistCnn
from .noisy_quadratic import NoisyQuadratic

KINDS: tuple[type[Task], ...] = (
    DigitsMlp,
    DigitsNoisy,
    DigitsCnn,
    FinetuneDigits,
    Embedding,
    Charlm,
    NoisyQuadratic,
    MnistCnn,
    FashionMnistCnn,
    Cifar10Resnet,
    ImageFolder,
)
TASKS: dict[str, type[Task]] = {task.name: task for task in KINDS}


def named(names: Iterable[str]) -> dict[str, type[Task]]:
    """Return the tasks of these names.

    Raises:
        NotFound: there is no such task; the message lists those that there are.
    """
    names = list(names)
    for name in names:
        if name not in TASKS:
            raise NotFound(f"no task {name!r}; there are {', '.join(sorted(TASKS))}", field="task.name")
    return {name: TASKS[name] for name in names}


__all__ = ["TASKS", "named"]
