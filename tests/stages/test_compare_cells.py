"""What a comparison keeps and goes on with: cells, features, the clock; further arms, peers, forecasts, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import runs
import tiny_series
from safetensors.torch import load_file, save_file

import hf_ssl
from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, DataError, HfSslError, MissingExtraError
from hf_ssl.evaluation.metrics.decomposable import DECOMPOSABLE
from hf_ssl.evaluation.peers.base import Asked
from hf_ssl.evaluation.probes.probes import ProbePrediction
from hf_ssl.modalities.encoder import Encoder
from hf_ssl.modalities.timeseries.split import latest
from hf_ssl.stages import compare as comparing
from hf_ssl.stages.cells import Cell, Clock, by_what_they_tell

FAST: dict[str, Any] = {"max_steps": 1, "bf16": False, "max_length": 24, "lora_r": 2, "num_seeds": 2, "probe_draws": 3}


@pytest.fixture
def news(tmp_path: Path) -> dict[str, Any]:
    base, adapted = (runs.base_checkpoint(tmp_path / name) for name in ("base", "adapted"))
    weights = adapted / "model.safetensors"
    state = load_file(weights)
    first = next(name for name in state if name.endswith("word_embeddings.weight"))
    state[first] = state[first] + 0.05
    save_file(state, weights, metadata={"format": "pt"})
    return {
        "data": runs.rows(80, 0, labeled=True), "unlabeled": runs.rows(40, 500, labeled=False), "model": str(base),
        "adapted": str(adapted), "output": str(tmp_path / "run"), "near_duplicates": False, "labels_per_class": [4, 8], **FAST,
    }  # fmt: skip


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many models were fine-tuned, and how many values embedded."""
    seen = {"fits": 0, "embedded": 0}
    fit, embed = comparing.fit_task, Encoder.embed

    def fitting(*given: Any, **named: Any) -> Any:
        seen["fits"] += 1
        return fit(*given, **named)

    def embedding(self: Encoder, values: Any, **named: Any) -> Any:
        seen["embedded"] += len(values)
        return embed(self, values, **named)

    monkeypatch.setattr(comparing, "fit_task", fitting)
    monkeypatch.setattr(Encoder, "embed", embedding)
    return seen


def test_what_was_computed_is_not_computed_again(news: dict[str, Any], counted: dict[str, int]) -> None:
    first = hf_ssl.compare(**news, self_training=0)
    assert counted["fits"] == 2 * 2 * 2, "arms, numbers of labels, draws"
    before = dict(counted)
    more = hf_ssl.compare(
        **news, self_training=0, arms=["base", "adapted", "random"], protocols=["linear-probe", "peft", "knn"]
    )
    assert counted["fits"] == before["fits"] + 1 * 2 * 2, "the new arm alone"
    test_rows = first.metrics["test_examples"]
    new = counted["embedded"] - before["embedded"]
    assert 0 < new <= test_rows + 64, (
        "random weights see the test rows and the labeled ones; the others' vectors were kept"
    )
    contest = json.loads((more.path / "contest.json").read_text(encoding="utf-8"))
    assert {(line["arm"], line["protocol"]) for line in contest["lines"]} == {
        *((arm, protocol) for arm in ("base", "adapted", "random") for protocol in ("knn", "linear-probe", "peft")),
        ("TF-IDF", "baseline"),
    }  # fmt: skip
    steps = {line["step"] for line in json.loads((more.path / "attribution.json").read_text(encoding="utf-8"))}
    assert {"the start's own pre-training", "continued SSL", "fine-tuning instead of a frozen probe"} <= steps
    assert {choice["arm"] for choice in contest["choices"]} <= {"base", "adapted", "TF-IDF"}, (
        "random is shown, not chosen"
    )
    assert set(more.metrics["use"]) == {"4", "8"}


def test_self_training_is_an_arm_of_its_own(news: dict[str, Any], counted: dict[str, int]) -> None:
    result = hf_ssl.compare(**{**news, "labels_per_class": [4], "num_seeds": 1}, protocols=["peft"])
    assert counted["fits"] == 3
    steps = json.loads((result.path / "attribution.json").read_text(encoding="utf-8"))
    assert [line["step"] for line in steps] == ["continued SSL", "pseudo-labels, after SSL"]
    with pytest.raises(ConfigError, match="needs a pool"):
        hf_ssl.compare(**{**news, "self_training": 0}, arms=["self-training"])


def test_time_is_kept_and_the_same_command_goes_on(
    news: dict[str, Any], counted: dict[str, int], monkeypatch, said
) -> None:
    monkeypatch.setattr(Clock, "has_time", lambda self, kind: kind == "frozen" or counted["fits"] < 3)
    short = hf_ssl.compare(**news, self_training=0, budget="30m")
    assert counted["fits"] == 3 and "5 models are left" in said.readouterr().err
    tables = json.loads((short.path / "table.json").read_text(encoding="utf-8"))
    assert len(tables["Fine-tuned"]["lines"]) == 1, "one number of labels has a pair of arms, and is told"
    monkeypatch.undo()
    whole = hf_ssl.compare(**news, self_training=0, budget="30m")
    assert (
        not whole.skipped
        and len(json.loads((whole.path / "table.json").read_text(encoding="utf-8"))["Fine-tuned"]["lines"]) == 2
    )
    assert hf_ssl.compare(**news, self_training=0, budget="30m").skipped


def test_pairs_come_first_and_the_middle_number_of_labels() -> None:
    cells = [
        Cell(arm, "peft", budget, seed, "") for arm in ("base", "adapted") for budget in (4, 16, 64) for seed in (0, 1)
    ]
    ordered = [(cell.seed, cell.budget, cell.arm) for cell in by_what_they_tell(cells, ["base", "adapted"])]
    assert (
        ordered[:4] == [(0, 16, "base"), (0, 16, "adapted"), (0, 4, "base"), (0, 4, "adapted")] and ordered[6][0] == 1
    )


def test_a_damaged_cell_is_computed_again(news: dict[str, Any], said) -> None:
    shared = {**news, "labels_per_class": [4], "finetune_arms": False}
    first = hf_ssl.compare(**shared)
    for file in (first.path / "cells").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:100])
    again = hf_ssl.compare(**shared, overwrite=True)
    assert again.metrics == first.metrics and "computed again" in said.readouterr().err


def test_peers_stand_beside_each_with_its_own_answers(news: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    setfit = plugins.find("peers", "setfit")

    def first_class(peer: Any, asked: Asked) -> ProbePrediction:
        return ProbePrediction(np.full(len(asked.test), asked.labels.min()), None, None, {})

    monkeypatch.setattr(setfit, "answer", first_class)
    monkeypatch.setattr(setfit, "check", lambda *_: None)
    result = hf_ssl.compare(**{**news, "labels_per_class": [4]}, finetune_arms=False, peers=["svm", "setfit"])
    contest = json.loads((result.path / "contest.json").read_text(encoding="utf-8"))
    lines = {line["arm"]: line["score"] for line in contest["lines"] if line["protocol"] == "peer"}
    assert lines["svm"]["mean"] > lines["setfit"]["mean"] and lines["setfit"]["sd"] == 0


def test_a_peer_on_vectors_reads_the_start_whatever_the_order_of_the_arms(
    news: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    svm, read = plugins.find("peers", "svm"), []

    def noted(peer: Any, asked: Asked) -> ProbePrediction:
        read.append((asked.start, asked.test_vectors))
        return ProbePrediction(np.full(len(asked.test), asked.labels.min()), None, None, {})

    monkeypatch.setattr(svm, "answer", noted)
    shared = {**news, "labels_per_class": [4], "finetune_arms": False, "peers": ["svm"]}
    hf_ssl.compare(**shared)
    hf_ssl.compare(**{**shared, "output": f"{news['output']}-random"}, arms=["random", "base", "adapted"])
    (first, vectors), (other, seen) = read[0], read[-1]
    assert len(read) > 1 and first == other
    np.testing.assert_array_equal(vectors, seen)


def test_a_peer_that_is_not_installed_or_does_not_fit_says_so(
    news: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "setfit" else find(name, *more)
    )
    with pytest.raises(MissingExtraError, match="pip install setfit"):
        hf_ssl.compare(**news, finetune_arms=False, peers=["setfit"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: object())
    with pytest.raises(ConfigError, match="forecasts timeseries.* text"):
        hf_ssl.compare(**{**news, "overwrite": True}, finetune_arms=False, peers=["statsforecast"])
    with pytest.raises(ConfigError, match="No peer is called 'svn'. Did you mean 'svm'"):
        hf_ssl.compare(**{**news, "overwrite": True}, finetune_arms=False, peers=["svn"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"arms": "bsae"}, "Did you mean 'base'"), ({"protocols": "knm"}, "Did you mean 'knn'"),
        ({"budget": "soon"}, "no length of time"), ({"labels_per_class": "4,many"}, "'many' is no number of labels"),
        ({"labels_per_class": "4,500"}, "Ask for at most"), ({"arms": "adapted-lora"}, "--adapted_lora"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_what_can(news: dict[str, Any], options: dict[str, str], words: str) -> None:
    with pytest.raises(HfSslError, match=words):
        hf_ssl.compare(**{**news, **options})


def test_forecasts_are_compared_by_blocks_of_time(tmp_path: Path) -> None:
    frame, shape = tiny_series.table(260, "abc"), tiny_series.OPTIONS
    data = tiny_series.quiet_load(frame)
    starts = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        starts.append(tiny_series.checkpoint(tmp_path / name, "patchtst", data))
    changed = load_file(f"{starts[1]}/model.safetensors")
    save_file(
        {name: tensor + 0.01 for name, tensor in changed.items()},
        f"{starts[1]}/model.safetensors",
        metadata={"format": "pt"},
    )
    result = hf_ssl.compare(
        data=frame, modality="timeseries", **shape, model=starts[0], adapted=starts[1], output=str(tmp_path / "run"), num_seeds=2,
        max_steps=2, peft="full", labels_per_class=["50%", "all"],
    )  # fmt: skip
    table = json.loads((result.path / "table.json").read_text(encoding="utf-8"))["Fine-tuned"]
    assert table["metric"] == "observed_mae" and [line["budget"] for line in table["lines"]] == ["50%", "all"]
    difference = table["lines"][1]["difference"]
    assert 3 <= difference["units"] < difference["items"] and not difference["higher_is_better"]
    contest = json.loads((result.path / "contest.json").read_text(encoding="utf-8"))
    simple = {"seasonal naive", "exponential smoothing", "DLinear", "gradient boosting"}
    assert {line["arm"] for line in contest["lines"]} == {"base", "adapted", *simple}
    assert contest["choices"][-1]["word"] == "the simple baseline wins", "after two steps nothing else could be"


@pytest.mark.slow
def test_statistical_forecasts_take_part_and_are_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("statsforecast", reason="statsforecast is not installed")
    frame = tiny_series.table(200, "ab")
    start = tiny_series.checkpoint(tmp_path, "patchtst", tiny_series.quiet_load(frame))
    shared = {
        "data": frame,
        "modality": "timeseries",
        **tiny_series.OPTIONS,
        "model": start,
        "adapted": start,
        "peft": "full",
    }
    shared |= {"output": str(tmp_path / "run"), "max_steps": 1, "num_seeds": 1, "peers": ["statsforecast"]}
    peer, made = plugins.find("forecasters", "statsforecast"), []
    forecast = peer.forecast

    def counting(self: Any, asked: Any) -> Any:
        made.append(asked.past)
        return forecast(self, asked)

    monkeypatch.setattr(peer, "forecast", counting)
    for arms in (["base"], ["base", "random"]):
        result = hf_ssl.compare(**shared, arms=arms)
    lines = json.loads((result.path / "contest.json").read_text(encoding="utf-8"))["lines"]
    errors = {line["arm"]: line["score"]["mean"] for line in lines}
    assert len(made) == 1 and errors["statsforecast"] < 1.5 * errors["seasonal naive"]
    places = pq.read_table(result.path / "predictions" / "peer-statsforecast.parquet").to_pylist()
    for past, place in zip(made[0], places, strict=True):
        values = frame[frame["item_id"] == place["id"]]["y0"].to_numpy()[: place["step"]][-len(past) :]
        seen = past[-len(values) :, 0]
        assert np.isnan(past[: -len(values)]).all() and np.corrcoef(seen, values)[0, 1] > 0.9999, (
            "all before it, nothing after"
        )


def test_the_mixture_is_a_contender_and_forecasters_are_asked_once(tmp_path: Path) -> None:
    frame = tiny_series.table(260, "ab")
    start = tiny_series.checkpoint(tmp_path, "patchtst", tiny_series.quiet_load(frame))
    shared: dict[str, Any] = {
        "data": frame, "modality": "timeseries", **tiny_series.OPTIONS, "model": start, "adapted": start, "peft": "full", "num_seeds": 1,
        "output": str(tmp_path / "run"), "max_steps": 1, "labels_per_class": ["all"], "protocols": ["peft", "answer"], "arms": ["base"],
    }  # fmt: skip
    result = hf_ssl.compare(**shared, peers=[f"timesfm@{tiny_series.tiny_timesfm(tmp_path)}"])
    lines = json.loads((result.path / "contest.json").read_text(encoding="utf-8"))["lines"]
    errors = {(line["arm"], line["protocol"]): line["score"]["mean"] for line in lines}
    answer = errors["base", "answer"]
    assert answer < errors["base", "full"] and answer < 1.25 * min(errors.values()), (
        "with a shorter history than exponential smoothing has"
    )
    assert sum(protocol == "peer" for _, protocol in errors) == 1
    kept = sorted((result.path / "cells").glob("*.npz"))
    before = [file.stat().st_mtime_ns for file in kept]
    hf_ssl.compare(**{**shared, "overwrite": True})
    assert [file.stat().st_mtime_ns for file in kept] == before, "forecasts are kept like everything else"
    for name, words in (
        ("svm", "learns from labels"),
        ("timesfm", "needs a checkpoint"),
        ("bosting", "Did you mean 'boosting'"),
    ):
        with pytest.raises(ConfigError, match=words):
            hf_ssl.compare(**{**shared, "overwrite": True}, peers=[name])


def test_a_share_of_a_span_is_its_latest_part() -> None:
    train = tiny_series.quiet_load(tiny_series.table(260, "abc"))["train"]
    part = latest(train, 0.25, 20)
    for whole, late in zip(train.to_list(), part.to_list(), strict=True):
        steps = len(whole["series"][0])
        assert late["series"] == [channel[-len(late["series"][0]) :] for channel in whole["series"]]
        assert len(late["series"][0]) == -(-steps // 4) and late["offset"] == whole["offset"] + steps - -(-steps // 4)
        assert late["loc"] == whole["loc"], "scaled as the whole is"
    assert len(latest(train, 0.01, 20)[0]["series"][0]) == 20


def test_errors_of_what_was_observed_alone() -> None:
    truth = np.array([[1.0, np.nan], [2.0, 4.0]])
    assert DECOMPOSABLE["observed_mae"](np.array([[2.0, 9.0], [2.0, 2.0]]), truth) == pytest.approx(1.0)
    with pytest.raises(DataError, match="NaN or infinity"):
        DECOMPOSABLE["observed_mae"](np.array([[np.inf, 0.0], [2.0, 2.0]]), truth)


def sites(count: int, site: str, seed: int, labeled: bool) -> list[dict[str, Any]]:
    found = runs.rows(count, seed, labeled=labeled)
    return [{**row, "text": f"{site}: {row['text']}", "site": site} for row in found]


def test_domain_adversarial_training_is_an_arm_of_its_own(news: dict[str, Any], counted: dict[str, int]) -> None:
    """Against another source by default, against the pool where it is asked for; other arms' models are not made again."""
    one = {**news, "labels_per_class": [4], "num_seeds": 1, "self_training": 0, "protocols": ["peft"], "max_steps": 3}
    hf_ssl.compare(**one)
    assert counted["fits"] == 2
    target = [{"text": row["text"]} for row in sites(30, "harbour", 900, False)]
    result = hf_ssl.compare(**one, target=target)
    assert counted["fits"] == 3, "the new arm alone"
    steps = json.loads((result.path / "attribution.json").read_text(encoding="utf-8"))
    assert [line["step"] for line in steps] == ["continued SSL", "domain-adversarial training"]
    hf_ssl.compare(**one, target=target, domain_weight=0.0)
    again = json.loads((result.path / "attribution.json").read_text(encoding="utf-8"))
    twin = next(line for line in again if line["step"] == "domain-adversarial training")
    assert counted["fits"] == 4 and twin["difference"]["difference"] == 0.0, "at weight 0 it is the arm without"
    both = hf_ssl.compare(**one, arms=["domain-adversarial", "adapted+domain-adversarial"])
    arms = {line["arm"] for line in json.loads((both.path / "contest.json").read_text(encoding="utf-8"))["lines"]}
    assert {"base", "adapted", "domain-adversarial", "adapted+domain-adversarial"} <= arms and counted["fits"] == 6


def test_labels_of_target_domains_are_hidden_from_every_arm(
    news: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, fit = [], comparing.fit_task

    def fitting(task: Any, ref: Any, split: Any, *given: Any, **named: Any) -> Any:
        seen.append(set(split["site"]))
        return fit(task, ref, split, *given, **named)

    monkeypatch.setattr(comparing, "fit_task", fitting)
    data = [*sites(40, "north", 0, True), *sites(40, "harbour", 300, True)]
    given = {name: value for name, value in news.items() if name != "unlabeled"}
    result = hf_ssl.compare(
        **{**given, "data": data, "labels_per_class": [4], "num_seeds": 1}, domain_column="site", target_domains="harbour",
        protocols=["peft"], arms=["base", "adapted", "domain-adversarial"],
    )  # fmt: skip
    assert seen == [{"north"}] * 3 and result.metrics["test_examples"] > 0
