"""Two ranks average their gradients by gloo, under DistributedDataParallel."""

from __future__ import annotations

import torch
from seen import Seen
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

distributed.init_process_group("gloo")
rank, seen = distributed.get_rank(), Seen()
inner = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
torch.nn.init.zeros_(inner.weight)
model = DistributedDataParallel(inner)
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8)
for _ in range(8):
    optimizer.zero_grad()
    model(torch.full((1, 1), 2.0 * rank, dtype=torch.float64)).sum().backward()  # gradients of 0 and 2: 1 on average
    with seen.update(inner.weight):
        optimizer.step()
    scheduler.step()
if rank == 0:
    print("val_loss=0.5")
seen.write()
distributed.destroy_process_group()
