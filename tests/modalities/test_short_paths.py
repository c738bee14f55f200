"""A kind of data is found under its folder's path, too."""

from __future__ import annotations

import importlib

import pytest

from hf_ssl.core import plugins


@pytest.mark.parametrize("name", ["text", "image", "audio", "timeseries"])
def test_the_class_of_a_kind_of_data_is_where_its_folder_is(name):
    folder = importlib.import_module(f"hf_ssl.modalities.{name}")
    kind = plugins.find("modalities", name)
    assert getattr(folder, kind.__name__) is kind
    with pytest.raises(AttributeError, match="Nothing"):
        folder.Nothing  # noqa: B018
