"""No option name means two things: those of a command, of kinds of data, of tasks and of objectives are held against each other."""

from __future__ import annotations

import itertools
from dataclasses import fields

import pytest

from hf_ssl.core import plugins
from hf_ssl.core.options import EvaluateConfig, FinetuneConfig, PretrainConfig
from hf_ssl.data import load_data

# One word for one thing, described for each objective or task in its own words.
DESCRIBED_APART = {
    "loss",
    "mask_ratio",
    "mask_span",
    "mask_time_prob",
    "max_length",
    "pooling",
    "residual",
    "scale",
    "dropout",
    "temperature",
}


def options_of(kind: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Plug-in → its options with their types and descriptions."""
    found = {}
    for name in plugins.names(kind):
        config = plugins.find(kind, name).Config
        found[name] = {item.name: (str(item.type), str(item.metadata.get("help"))) for item in fields(config)}
    return found


@pytest.mark.parametrize(
    ("command", "kinds"),
    [
        (FinetuneConfig, ("modalities", "tasks")),
        (EvaluateConfig, ("modalities", "tasks")),
        (PretrainConfig, ("modalities", "objectives")),
    ],
)
def test_plugins_take_no_name_of_the_command(command: type, kinds: tuple[str, ...]) -> None:
    own = {item.name: str(item.metadata.get("help")) for item in fields(command)}
    clashes = [
        (plugin, name)
        for kind in kinds
        for plugin, options in options_of(kind).items()
        for name, (_, text) in options.items()
        if name in own and text != own[name]
    ]
    assert clashes == []


def test_kinds_of_data_share_no_name_with_tasks_and_objectives() -> None:
    data = {name for options in options_of("modalities").values() for name in options}
    others = {name for kind in ("tasks", "objectives") for options in options_of(kind).values() for name in options}
    assert data & others == set()


def test_one_name_is_one_option() -> None:
    every = [one for kind in ("modalities", "tasks", "objectives") for one in options_of(kind).items()]
    twice = [
        (first, second, name)
        for (first, a), (second, b) in itertools.combinations(every, 2)
        for name in a.keys() & b.keys() - DESCRIBED_APART
        if a[name] != b[name]
    ]
    assert twice == []


def test_the_old_name_of_scaling_series_works_for_one_release() -> None:
    rows = [{"series": [float(n + k % 5) for k in range(20)], "label": "ab"[n % 2]} for n in range(40)]
    with pytest.warns(FutureWarning, match="normalize is called standardize"):
        data = load_data(rows, "timeseries", normalize="none", verbose=False)
    assert sum(data.num_rows[split] for split in ("train", "validation", "test")) == 40
