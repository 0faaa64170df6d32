"""Goes on from a checkpoint of its own: three updates of Adam are behind it."""

from __future__ import annotations

import torch
from seen import Seen, parameter

seen, weight = Seen(), parameter()
optimizer = torch.optim.Adam([weight], lr=0.5)
before = {"step": torch.tensor(3.0), "exp_avg": torch.zeros_like(weight), "exp_avg_sq": torch.ones_like(weight)}
optimizer.load_state_dict({"state": {0: before}, "param_groups": optimizer.state_dict()["param_groups"]})
for _ in range(4):
    weight.backward()
    with seen.update(weight):
        optimizer.step()
seen.write()
