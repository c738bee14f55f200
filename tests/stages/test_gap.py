"""How far are domains apart: planted answers are found, and the advice says why."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

import hf_ssl
import tiny
from hf_ssl import cli
from hf_ssl.core.errors import DataError
from hf_ssl.core.fields import OptionsError
from hf_ssl.core.run import RunDir

QUICK: dict[str, Any] = {"sample": 120, "permutations": 99}


def sentences(count: int, seed: int, *, clinic: float = 0.5, label: bool = False) -> list[dict[str, Any]]:
    """Made-up sentences, every one of them once; `clinic` is the share that speaks of the clinic."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        kind = draw.random() < clinic
        subject = draw.choice(("the nurse", "a patient") if kind else ("our engineer", "this compiler"))
        text = f"{subject} {draw.choice(tiny.VERBS)} {draw.choice(tiny.OBJECTS)} {draw.choice(tiny.PLACES)} {number} {seed}"
        found.append({"text": text} | ({"label": ("works", "clinic")[kind]} if label else {}))
    return found


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return str(tiny.write_checkpoint("bert", tmp_path_factory.mktemp("bert")))


@pytest.fixture(scope="module")
def shared(bert):
    return {**QUICK, "model": bert, "near_duplicates": False}


def test_one_domain_is_inside_the_null(shared, tmp_path):
    data = [*sentences(160, 1), *sentences(120, 1_000, label=True)]
    found = hf_ssl.domain_gap(
        **shared, data=data, test=sentences(120, 2_000, label=True), output=str(tmp_path / "run")
    )
    gap = found.metrics["distance"]
    assert gap["p_value"] > 0.05 and gap["distance"] < 0.5
    assert (
        found.metrics["advice"]["choice"] != "adversarial"
        and "domain-adaptive" not in found.metrics["advice"]["reasons"]
    )
    objective = found.metrics["objective"]
    assert abs(objective["shift"]) < 3 * objective["shift_error"] and set(objective["loss"]) == {"pool", "test"}
    assert found.metrics["transferability"]["probe"]["labels"] > 50
    assert set(found.metrics["tokens"]) == {"pool", "test"} and found.metrics["duplicates"] == {
        "exact": 0, "near": 0, "removed_when_read": 0,
    }  # fmt: skip
    assert json.loads((found.path / "gap.json").read_text()) == json.loads(json.dumps(found.metrics))
    text = (found.path / "gap.txt").read_text()
    assert "Try first" in text and "doubt:" in text
    assert RunDir(tmp_path / "run").stage("gap").done


def test_a_clear_shift_is_found(shared, tmp_path):
    found = hf_ssl.domain_gap(
        **shared,
        data=sentences(150, 1, clinic=0.0),
        target=sentences(150, 2, clinic=1.0),
        output=str(tmp_path / "run"),
    ).metrics
    gap = found["distance"]
    assert gap["p_value"] < 0.05 and gap["distance"] > gap["null_high"] + 0.5
    assert found["distance_without_checkpoint"]["distance"] > 0.5
    assert found["advice"]["choice"] in ("domain-adaptive", "adversarial", "as-released")
    assert any("apart" in reason for reason in found["advice"]["reasons"]["domain-adaptive"])
    assert len(found["layers"]["distance"]) == 3 and set(found["layers"]["cka_to_last"]) == {"data", "target"}
    assert found["layers"]["cka_to_last"]["data"][-1] == pytest.approx(1)


@pytest.mark.parametrize("leakage", ["strip", "allow"])
def test_leaked_duplicates_are_flagged(leakage, shared, tmp_path, recwarn):
    test = sentences(60, 5, label=True)
    pool = [*sentences(100, 1), *({"text": row["text"]} for row in test[:25])]
    found = hf_ssl.domain_gap(
        **{**shared, "sample": 500}, data=sentences(60, 9, label=True), unlabeled=pool, test=test, leakage=leakage,
        output=str(tmp_path / "run"),
    ).metrics  # fmt: skip
    copies = found["duplicates"]
    assert (copies["exact"], copies["removed_when_read"]) == ((25, 0) if leakage == "allow" else (0, 25))
    assert any("both sides" in doubt for doubt in found["advice"]["doubts"])


def test_domains_of_a_column(shared, tmp_path):
    rows = [{**row, "site": "north"} for row in sentences(90, 1, clinic=0.0, label=True)]
    rows += [{**row, "site": "south", "label": None} for row in sentences(90, 2, clinic=1.0)]
    for number, row in enumerate(rows[:90]):
        row["label"] = "ab"[number % 2]
    found = hf_ssl.domain_gap(**shared, data=rows, domain_column="site", output=str(tmp_path / "run")).metrics
    assert list(found["sides"]) == ["north", "south"] and found["distance"]["distance"] > 0.5
    with pytest.raises(DataError, match="'south'"):
        hf_ssl.domain_gap(
            **shared, data=rows, domain_column="site", target_domains=["soth"], output=str(tmp_path / "other")
        )


def test_without_a_head_the_loss_is_not_measured_and_that_is_said(tiny_checkpoint, tmp_path):
    bare = str(tiny_checkpoint("bert", "AutoModel"))
    data, test = [*sentences(80, 1), *sentences(60, 3, label=True)], sentences(60, 2, label=True)
    found = hf_ssl.domain_gap(
        **QUICK, model=bare, data=data, test=test, output=str(tmp_path / "run"), near_duplicates=False
    )
    assert "no head for mlm" in found.metrics["objective"]["why"]
    assert any("was not measured" in doubt for doubt in found.metrics["advice"]["doubts"])
    assert "not measured" in (found.path / "gap.txt").read_text()


def test_the_checkpoints_own_kind_of_data_is_measured_beside(bert, tmp_path):
    """A masked-word model of clinics: no worse on other sentences of clinics, worse on those of works, and the advice follows."""
    learned = hf_ssl.pretrain(
        data=sentences(200, 1, clinic=1.0), model=bert, output=str(tmp_path / "clinic"), max_steps=40, monitor_points=1, learning_rate=3e-3,
        keep_checkpoint="last", near_duplicates=False,
    )  # fmt: skip
    shared = {
        **QUICK,
        "model": str(learned.path / "model"),
        "near_duplicates": False,
        "reference": sentences(120, 2, clinic=1.0),
    }
    for name, share, choice in (("same", 1.0, "as-released"), ("other", 0.0, "domain-adaptive")):
        data, target = (sentences(120, seed, clinic=share) for seed in (4, 5))
        found = hf_ssl.domain_gap(**shared, data=data, target=target, output=str(tmp_path / name))
        own = found.metrics["objective"]["reference"]
        assert (own["target"]["shift"] > 2 * own["target"]["shift_error"]) == (name == "other"), own
        assert any("its own objective" in reason for reason in found.metrics["advice"]["reasons"][choice])
        assert f"{own['loss']:.3f}" in (found.path / "gap.txt").read_text(encoding="utf-8")


def test_plain_english_is_taken_for_its_own_kind_only_where_the_vocabulary_fits(shared, tmp_path):
    data = [*sentences(80, 1), *sentences(60, 3, label=True)]
    found = hf_ssl.domain_gap(**shared, data=data, test=sentences(60, 2, label=True), output=str(tmp_path / "run"))
    own = found.metrics["objective"]["reference"]
    assert own["of"] == "plain English" and "--reference" in own["why"] and "pool" not in own
    assert any("--reference" in doubt for doubt in found.metrics["advice"]["doubts"])


def test_pictures_and_series(tiny_checkpoint, tmp_path):
    import contract_image
    import contract_timeseries

    for kind in (contract_image.Kind(), contract_timeseries.Kind()):
        name = kind.modality.name
        found = hf_ssl.domain_gap(
            data=kind.unlabeled(), target=kind.unlabeled(), modality=name, model=str(kind.checkpoint(tiny_checkpoint, "classification")),
            output=str(tmp_path / name), permutations=19, sample=20, near_duplicates=False,
        ).metrics  # fmt: skip
        assert found["duplicates"]["exact"] == 16 and "tokens" not in found, name
        assert found["distance"]["p_value"] > 0.05, "the same pictures twice"


def test_drift_of_the_runs_adapted_model(bert, tmp_path):
    output, data = str(tmp_path / "run"), [*sentences(120, 1), *sentences(60, 3, label=True)]
    hf_ssl.pretrain(
        data=data, model=bert, output=output, max_steps=2, monitor_points=1, keep_checkpoint="last", learning_rate=1e-3
    )
    test = sentences(60, 2, label=True)
    found = hf_ssl.domain_gap(**QUICK, data=data, test=test, model=bert, output=output, near_duplicates=False).metrics
    assert 0 < found["drift"]["linear_cka"] < 1 and found["drift"]["cosine_drift"] > 0


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"domain_column": "site", "target": []}, "one of the two"),
        ({"target_domains": ["north"]}, "Give --domain_column"),
        ({"smaple": 3}, "sample"),
        ({"sample": 3}, "at least 20"),
    ],
)
def test_options_that_are_refused(options, told, bert, tmp_path):
    with pytest.raises(OptionsError, match=told):
        hf_ssl.domain_gap(data=sentences(20, 1), model=bert, output=str(tmp_path / "run"), **options)


def test_the_command_line(bert, tmp_path, said):
    table = tmp_path / "rows.jsonl"
    rows = [*sentences(80, 1), *sentences(80, 2, label=True)]
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    line = [
        "gap",
        str(table),
        f"--model={bert}",
        f"--output={tmp_path / 'run'}",
        "--permutations=19",
        "--no-near-duplicates",
    ]
    assert cli.main(line) == 0
    told = said.readouterr().err
    assert "between pool and test" in told and "Try first" in told
    assert cli.main(["gap", str(table), f"--output={tmp_path / 'other'}"]) == 1
    assert "Give --model" in said.readouterr().err
