"""A kind of label finds its task by what the task says of itself."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from hf_ssl.core import plugins


@pytest.mark.parametrize("name", plugins.names("tasks"))
def test_a_default_task_is_found_by_its_kind_of_label(name: str) -> None:
    task = plugins.find("tasks", name)
    assert (plugins.task_for(task.label_kind) == name) is task.is_default


def test_every_kind_of_label_has_one_task() -> None:
    tasks = [plugins.find("tasks", name) for name in plugins.names("tasks")]
    defaults = Counter(task.label_kind for task in tasks if task.is_default)
    assert set(defaults) == {task.label_kind for task in tasks} and set(defaults.values()) == {1}
    assert plugins.task_for("no such kind") is None and plugins.task_for(None) is None


def test_asking_imports_nothing_heavy() -> None:
    code = "import sys; from hf_ssl.core.plugins import task_for; print(task_for('class'), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["classification", "False"]
