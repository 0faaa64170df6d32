"""A group is added in the middle, with its own LR."""

from __future__ import annotations

import torch
from seen import Seen, parameter

seen, head, body = Seen(), parameter(), parameter()
optimizer = torch.optim.SGD([head], lr=0.5)
for step in range(8):
    if step == 4:
        optimizer.add_param_group({"params": [body], "lr": 0.05})
    optimizer.zero_grad()
    (head + body).backward()
    with seen.update(head, body):
        optimizer.step()
seen.write()
