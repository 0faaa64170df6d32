"""The same search by Optuna alone: what one writes in an evening. docs/etude-or-optuna.md says what it leaves out.

python examples/optuna_sixty_lines.py 'val_loss=(\\S+)' 20 -- python examples/train.py --epochs 3
"""

from __future__ import annotations

import re
import subprocess
import sys

import optuna

pattern, trials, _, *command = sys.argv[1:]


def objective(trial: optuna.Trial) -> float:
    """Train once; the schedule stays the script's, for no flag carries another."""
    lr = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    value = float("nan")
    with subprocess.Popen([*command, "--lr", str(lr)], stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout is not None
        for step, line in enumerate(line for line in script.stdout if re.search(pattern, line)):
            found = re.search(pattern, line)
            assert found is not None
            value = float(found[1])
            trial.report(value, step)
            if trial.should_prune():
                script.kill()
                raise optuna.TrialPruned
    if script.returncode != 0:
        raise RuntimeError(f"the script ended with status {script.returncode}")
    return value


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(
    study_name="train",
    direction="minimize",
    sampler=optuna.samplers.TPESampler(seed=0),
    pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
)
study.optimize(objective, n_trials=int(trials), catch=RuntimeError)

states = [trial.state.name.lower() for trial in study.trials]
print(f"{len(states)} trials:", ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states))))
print(f"best {study.best_value:.4f} at lr {study.best_params['lr']:.4g}")

# The score of the winner is the best of many noisy ones. Trained again on fresh seeds it is worse on average:
again = []
for seed in (101, 102, 103):
    output = subprocess.run(
        [*command, "--lr", str(study.best_params["lr"]), "--seed", str(seed)],
        stdout=subprocess.PIPE, text=True, check=True,
    ).stdout  # fmt: skip
    again.append(float(re.findall(pattern, output)[-1]))
print("again on fresh seeds:", ", ".join(f"{value:.4f}" for value in again))
