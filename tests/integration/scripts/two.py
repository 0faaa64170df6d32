"""Two optimizers as in a GAN: the critic steps twice as often, and the generator's comes into being late."""

from __future__ import annotations

import torch
from seen import Seen, parameter

seen, critic, generator = Seen(), parameter(), parameter()
of_critic = torch.optim.SGD([critic], lr=0.25)
of_generator = None
for _ in range(4):
    for _ in range(2):
        of_critic.zero_grad()
        critic.backward()
        with seen.update(critic):
            of_critic.step()
    of_generator = of_generator or torch.optim.SGD([generator], lr=1.0)
    of_generator.zero_grad()
    generator.backward()
    with seen.update(generator):
        of_generator.step()
seen.write()
