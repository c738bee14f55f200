"""What a kind of data, an objective or a task of one's own must bring, and what is said when it does not."""

from __future__ import annotations

import pytest

import tiny
from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.modalities.base import Modality
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.objectives.base import Objective, Rows
from hf_ssl.objectives.simclr import SimCLR
from hf_ssl.tasks.base import Task
from hf_ssl.tasks.classification import Classification


@pytest.mark.parametrize("group", ["modalities", "objectives", "tasks"])
def test_all_that_ship_are_complete(group):
    names = plugins.names(group)
    assert len(names) >= 4
    for name in names:
        assert not plugins.find(group, name).__abstractmethods__, name


@pytest.mark.parametrize(
    ("base", "missing"),
    [
        (Modality, "content_key, encoder_class"),
        (Encoder, "collate, features, preprocess"),
        (Objective, "collate, rows"),
        (Task, "loss, metrics, predictions"),
        (Rows, "__getitem__, __len__"),
    ],
)
def test_what_is_missing_is_named_when_the_object_is_made(base, missing):
    assert ", ".join(sorted(base.__abstractmethods__)) == missing
    incomplete = type("Mine", (base,), {})
    with pytest.raises(TypeError, match=f"abstract methods {missing}"):
        incomplete()


def test_what_is_optional_says_what_it_is_needed_for():
    kind = type("Smells", (Modality,), {name: lambda *_: None for name in Modality.__abstractmethods__})
    mine = kind()
    assert not Encoder.has_views and mine.cheap_features() == []
    own = {name: lambda *_: None for name in Encoder.__abstractmethods__}
    encoder = type("Nose", (Encoder,), own)(mine, tiny.tiny_model("bert"), None)
    for call in (
        lambda: mine.read_files([], None, []),
        lambda: mine.decode(None, "smell", root=None, cache=None, quarantine=[]),
        lambda: mine.signature("rose"),
        lambda: mine.baseline_features(["rose"]),
        lambda: encoder.view_store(["rose"]),
        lambda: encoder.views([], [], SimCLR.views),
    ):
        with pytest.raises(ConfigError, match="^Smells has no .*, which it needs for "):
            call()
    task = type("Sorting", (Classification,), {"soft_loss": Task.soft_loss})(Classification.Config(), mine)
    with pytest.raises(ConfigError, match="Sorting has no soft_loss"):
        task.soft_loss(None, None)
