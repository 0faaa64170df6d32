"""A process of the bare loop: every second candidate of an even search, trained to the end, and nothing kept."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from benchmarks.peers.meter import Meter
from benchmarks.peers.search import Search, Trainer
from benchmarks.peers.signs import Signs


def main() -> None:
    """Arguments: the folder of the signs, the search as JSON, which process this is, of how many."""
    folder, search = Path(sys.argv[1]), Search.model_validate_json(sys.argv[2])
    place, processes = int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(1)
    meter, signs = Meter(folder), Signs(folder)
    trainer = Trainer(search, meter)
    trainer.warm_up()
    meter.mark()
    signs.ready()
    for number in range(place, search.trials, processes):
        list(trainer.evaluations(search.drawn(number)))
        meter.count(trials=1)
    signs.done()


if __name__ == "__main__":
    main()
