"""The contract suite: what every objective, task, kind of data and store promises, to be tried on one's own.

    from hf_ssl import CheckpointRef
    from hf_ssl.testing import check_objective

    def test_my_objective_keeps_its_promises():
        check_objective(MyObjective, lambda head, **options: Mine().load("tiny-checkpoint", head, **options), pool)

`OBJECTIVE_CHECKS`, `TASK_CHECKS`, `MODALITY_CHECKS` and `STORE_CHECKS` are the single promises, for a test runner that is to
show them one by one. They are plain functions with plain `assert`s and need no test runner.
"""

from __future__ import annotations

from hf_ssl.testing.data import MODALITY_CHECKS, DataCase, check_modality
from hf_ssl.testing.modules import OBJECTIVE_CHECKS, TASK_CHECKS, Built, Case, check_objective, check_task
from hf_ssl.testing.stores import STORE_CHECKS, STORED, check_store

__all__ = [
    "MODALITY_CHECKS",
    "OBJECTIVE_CHECKS",
    "STORED",
    "STORE_CHECKS",
    "TASK_CHECKS",
    "Built",
    "Case",
    "DataCase",
    "check_modality",
    "check_objective",
    "check_store",
    "check_task",
]
