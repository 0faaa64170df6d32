"""Hugging Face's accelerate, with accumulation that its own wrapper of the optimizer counts."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from seen import Seen
from torch.utils.data import DataLoader, TensorDataset

accelerator, seen = Accelerator(cpu=True, gradient_accumulation_steps=2), Seen()
inner = torch.nn.Linear(1, 1, bias=False, dtype=torch.float64)
torch.nn.init.zeros_(inner.weight)
optimizer = torch.optim.SGD(inner.parameters(), lr=0.5)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
data = DataLoader(TensorDataset(torch.ones((32, 1), dtype=torch.float64)), batch_size=1)
model, optimizer, data, scheduler = accelerator.prepare(inner, optimizer, data, scheduler)
for (x,) in data:
    with accelerator.accumulate(model):
        accelerator.backward(model(x).sum())
        before = inner.weight.item()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        if accelerator.sync_gradients:
            seen.moves.append([before - inner.weight.item()])
seen.write()
accelerator.end_training()
