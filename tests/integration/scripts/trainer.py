"""Hugging Face's Trainer with its own warm-up and linear decay, groups with and without weight decay."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from seen import Seen
from transformers import BertConfig, BertForSequenceClassification, Trainer, TrainerCallback, TrainingArguments

seen = Seen()


class Looks(TrainerCallback):
    """Looks at the LRs within each step of the optimizer."""

    def on_train_begin(self, *_: Any, optimizer: Any, **__: Any) -> None:
        """Stand before the steps of the optimizer inside."""
        optimizer.optimizer.register_step_pre_hook(
            lambda inner, _args, _kwargs: seen.moves.append([group["lr"] for group in inner.param_groups])
        )


size = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
model = BertForSequenceClassification(BertConfig(vocab_size=16, **size))
texts = [{"input_ids": torch.arange(4) + i % 4, "labels": torch.tensor(i % 2)} for i in range(16)]
with tempfile.TemporaryDirectory() as place:
    arguments = TrainingArguments(
        place, num_train_epochs=2, per_device_train_batch_size=2, gradient_accumulation_steps=2, learning_rate=1e-3,
        warmup_steps=2, logging_steps=4, save_strategy="no", report_to=[], use_cpu=True, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=texts, callbacks=[Looks()])
    trainer.train()
logged = [entry["learning_rate"] for entry in trainer.state.log_history if "learning_rate" in entry]
seen.write()
