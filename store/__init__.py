"""The one memory: studies, proposals, leases, reports, and the bridge to Optuna's tables, in one SQL database."""

from .engine import Store, open_store

__all__ = ["Store", "open_store"]
