"""A training by transformers' Trainer, searched: python examples/transformers_tiny.py NAME.

Start it as often as there are cores or GPUs: each process leases trials of the study NAME until it has ended. The model
is a vision transformer of one layer on scikit-learn's handwritten digits, made without a download.
"""

import sys
import tempfile

import torch
from sklearn.datasets import load_digits
from transformers import Trainer, TrainingArguments, ViTConfig, ViTForImageClassification, set_seed

from etude import Client
from etude.transformers import TrialCallback, optimizers

STEPS, BATCH, EVERY = 100, 32, 20
TINY = ViTConfig(
    image_size=8, patch_size=2, num_channels=1, hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=64, num_labels=10,
)  # fmt: skip


def main(name: str) -> None:
    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32).unsqueeze(1)
    rows = [{"pixel_values": image, "labels": label} for image, label in zip(images, digits.target, strict=True)]
    study = Client().submit(
        name=name, task="external", trials=4, horizon={"steps": STEPS}, seed=1, space={"optimizers": ["sgd", "adamw"]},
        objective={"metric": "eval_loss", "direction": "minimize"}, confirmation={"seeds": 2, "top": 1},
        idempotency_key=name,
    )  # fmt: skip
    for trial in study.lease_trials():
        with trial, tempfile.TemporaryDirectory() as place:
            args = TrainingArguments(
                place, max_steps=trial.horizon_steps, seed=trial.seed, eval_strategy="steps", eval_steps=EVERY,
                per_device_train_batch_size=BATCH, per_device_eval_batch_size=512, save_strategy="no", report_to="none",
                disable_tqdm=True,
            )  # fmt: skip
            set_seed(trial.seed)
            model = ViTForImageClassification(TINY)
            trainer = Trainer(
                model,
                args,
                train_dataset=rows[:1400],
                eval_dataset=rows[1400:],
                optimizers=optimizers(trial, model, args),
                callbacks=[TrialCallback(trial)],
            )
            trainer.train()
        print(f"{trial.study} {trial.number}: ended after step {trainer.state.global_step}", flush=True)
    print(study.best().sentence)


if __name__ == "__main__":
    main(sys.argv[1])
