"""The same search by Étude, Optuna, Ray Tune and a bare loop, in turn in one run: `python -m benchmarks.peers`."""
