"""Three batches make one update."""

from __future__ import annotations

import torch
from seen import Seen, parameter

seen, weight = Seen(), parameter()
optimizer = torch.optim.SGD([weight], lr=0.5)
for batch in range(12):
    (weight / 3).backward()
    if batch % 3 == 2:
        with seen.update(weight):
            optimizer.step()
        optimizer.zero_grad()
seen.write()
