"""A plain training script on handwritten digits, as one finds them: it knows nothing of Étude.

etude check -- python examples/train.py
etude search --metric 'val_loss=(\\S+)' --minimize -- python examples/train.py
"""

from __future__ import annotations

import argparse

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional

parser = argparse.ArgumentParser()
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--lr", type=float, default=0.05)
parser.add_argument("--seed", type=int, default=0)
arguments = parser.parse_args()

torch.manual_seed(arguments.seed)
torch.set_num_threads(1)
digits = load_digits()
images = torch.tensor(digits.data / 16, dtype=torch.float32)
labels = torch.tensor(digits.target)
order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
train, validation = order[:1400], order[1400:]

model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=arguments.lr, momentum=0.9)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=5, gamma=0.3)

for epoch in range(arguments.epochs):
    model.train()
    for batch in train[torch.randperm(len(train))].split(50):
        optimizer.zero_grad()
        functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        logits = model(images[validation])
    loss = functional.cross_entropy(logits, labels[validation]).item()
    accuracy = (logits.argmax(1) == labels[validation]).float().mean().item()
    print(f"epoch {epoch + 1}: val_loss={loss:.4f} val_accuracy={accuracy:.4f}", flush=True)
