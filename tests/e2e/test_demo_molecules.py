"""Molecules, written as a user would have them, from a file that looks as the released one does."""

from __future__ import annotations

import pytest

from hf_ssl import load_data
from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo import cli, molecules

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "CN1CCC[C@H]1c1cccnc1",
    "ClCCBr",
    "[nH]1cccc1",
    "C%12CCCC%12",
    "F/C=C\\F",
    "[Na+].[Cl-]",
]


@pytest.fixture
def released(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(molecules, "package_folder", lambda *names: None)
    molecules.all_molecules.cache_clear()
    table = tmp_path / "cache" / "b3db"
    table.mkdir(parents=True)
    lines = ["NO.\tSMILES\tBBB+/BBB-"]
    lines += [f"{row}\t{'C' * (row % 60 + 1)}{SMILES[row % 7]}\t{'BBB+' if row % 3 else 'BBB-'}" for row in range(300)]
    (table / "B3DB_classification.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    yield
    molecules.all_molecules.cache_clear()


def test_a_folder_as_a_chemist_has_it(released, tmp_path):
    cli.write("molecules", tmp_path / "data", per_class=8)
    data = load_data(str(tmp_path / "data"), normalize="exact", near_duplicates=False)
    assert data.label_names == ["does not", "passes"] and len(data["unlabeled"]) > 100 and len(data["test"]) > 20
    train = {row["text"] for row in molecules.molecules("train")}
    assert not train & {row["text"] for row in molecules.molecules("test")}
    assert (
        molecules.molecules("train", 10)
        == molecules.molecules("train", 10)
        != molecules.molecules("train", 10, seed=1)
    )


def test_what_is_missing_says_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_SSL_DEMO_DATA", str(tmp_path))
    monkeypatch.setattr(molecules, "package_folder", lambda *names: None)
    with pytest.raises(MissingExtraError, match="fetch b3db"):
        molecules.b3db_file()
    with pytest.raises(DataError, match="train and test"):
        molecules.molecules("validation")
