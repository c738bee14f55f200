"""The stages from end to end on real text and real weights, and what they refuse."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from transformers import AutoModel, AutoModelForSequenceClassification

import hf_ssl
from hf_ssl import demo
from hf_ssl.core.errors import CheckpointError, ConfigError, DataError, MissingExtraError, RunFolderError
from hf_ssl.core.run import RunDir
from hf_ssl.evaluation.comparison.verdict import KEPT
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.base import start_of


@pytest.fixture(scope="module")
def newsgroups_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "newsgroups"
    try:
        return demo.write_newsgroups(folder, per_class=6, pool_limit=120, test_limit=60)
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def run(tmp_path_factory, minilm, newsgroups_folder):
    output = tmp_path_factory.mktemp("runs") / "news"
    recipe = {
        "data": str(newsgroups_folder),
        "model": str(minilm),
        "output": str(output),
        "pretrain": {
            "objective": "mlm",
            "max_steps": 2,
            "max_length": 64,
            "monitor_points": 1,
            "keep_checkpoint": "last",
        },
        "finetune": {"max_steps": 2, "max_length": 48, "early_stopping_patience": 0},
        "evaluate": {},
        "embed": {"split": "test", "max_length": 48},
    }
    return output, recipe, hf_ssl.run_recipe(recipe)


def test_every_stage_is_in_the_ledger(run):
    output, _, results = run
    ledger = json.loads((output / "run.json").read_text())
    assert {name: entry["status"] for name, entry in ledger["stages"].items()} == dict.fromkeys(results, "done")
    assert ledger["base"]["weights_sha"] and ledger["data"]["fingerprint"] and ledger["versions"]["torch"]


def test_another_fine_tuned_model_is_measured_but_no_start_and_none_with_other_labels(run, minilm, tmp_path):
    output, recipe, results = run
    copied = shutil.copytree(output, tmp_path / "run")
    tuned = shutil.copytree(output / "finetune" / "model", tmp_path / "tuned")
    options = {"data": recipe["data"], "output": str(copied), "overwrite": True}
    outputs = json.loads((output / "run.json").read_text())["stages"]["evaluate"]["outputs"]
    alone = outputs.get("model", results["evaluate"].metrics)  # of the network, where a teacher answers
    measured = hf_ssl.evaluate(**options, model=str(tuned)).metrics
    assert {name: measured[name] for name in alone} == pytest.approx(alone)
    with pytest.raises(CheckpointError, match=r"no fine-tuned model: classifier\.bias.*Leave --model away"):
        hf_ssl.evaluate(**options, model=str(minilm))
    config = json.loads((tuned / "config.json").read_text())
    names = [*config["id2label"].values()]
    config["id2label"] = dict(enumerate([names[1], names[0], *names[2:]]))
    config["label2id"] = {name: number for number, name in config["id2label"].items()}
    (tuned / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="in the same order"):
        hf_ssl.evaluate(**options, model=str(tuned))


def test_a_named_start_beside_the_pretrained_one_is_said_aloud(said):
    named = SimpleNamespace(model="some/bert", revision="abc")
    assert start_of(named, None, "runs/mine/pretrain/model") == CheckpointRef("some/bert", "abc")
    assert "left aside" in "".join(said.readouterr())
    assert start_of(named, None) == CheckpointRef("some/bert", "abc") and not any(said.readouterr())


def test_second_run_skips_everything(run):
    _, recipe, _ = run
    assert all(result.skipped for result in hf_ssl.run_recipe(recipe).values())


def test_changed_options_are_refused_in_the_same_folder(run):
    _, recipe, _ = run
    changed = {**recipe, "pretrain": {**recipe["pretrain"], "max_steps": 3}}
    with pytest.raises(RunFolderError, match="--overwrite"):
        hf_ssl.run_recipe(changed)


def test_options_of_a_stage_that_failed_before_it_wrote_anything_can_be_mended(tmp_path):
    run = RunDir(tmp_path / "run")
    for inputs, leaves in (("misspelt", False), ("mended", True)):
        with pytest.raises(ValueError), run.running("finetune", inputs, {}, resume=False, overwrite=False):
            if leaves:
                (run.folder("finetune") / "curve.jsonl").write_text("{}")
            raise ValueError
    with pytest.raises(RunFolderError, match="failed.*--overwrite"):  # what the second try left is of other options
        with run.running("finetune", "mended again", {}, resume=False, overwrite=False):
            pass


def test_models_load_without_hf_ssl_in_a_fresh_process(run):
    output, _, _ = run
    code = (
        "import sys, torch\n"
        "from transformers import AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer\n"
        f"mlm, info = AutoModelForMaskedLM.from_pretrained({str(output / 'pretrain' / 'model')!r}, output_loading_info=True)\n"
        "assert not info['missing_keys'], info\n"
        f"folder = {str(output / 'finetune' / 'model')!r}\n"
        "model, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)\n"
        "assert not info['missing_keys'], info\n"
        "logits = model(**AutoTokenizer.from_pretrained(folder)('the engine of my car', return_tensors='pt')).logits\n"
        "assert torch.isfinite(logits).all() and 'hf_ssl' not in sys.modules\n"
        "print(len(model.config.id2label))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 2


def test_adapted_model_keeps_the_pooler_of_its_start(run, minilm):
    output, _, _ = run
    start = AutoModel.from_pretrained(minilm).pooler.dense.weight
    folder = output / "pretrain" / "model"
    _, info = AutoModelForSequenceClassification.from_pretrained(folder, output_loading_info=True)
    assert {name.split(".")[0] for name in info["missing_keys"]} == {"classifier"}, "only the new head is random"
    assert AutoModel.from_pretrained(folder).pooler.dense.weight.equal(start)


def test_pretraining_moved_the_backbone_and_kept_the_last_point(run):
    output, _, results = run
    assert results["pretrain"].metrics["kept_step"] == 2
    records = [json.loads(line) for line in (output / "pretrain" / "monitor.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 2]
    assert records[1]["eval_loss"] < records[0]["eval_loss"]
    assert not list(output.rglob("*.bin")), "nothing pickled stays behind"


def test_predictions_have_ids_and_no_content(run):
    output, _, results = run
    table = pq.read_table(output / "evaluate" / "predictions.parquet")
    kept = ["model_prediction"] if (output / "finetune" / "teacher").is_dir() else []
    assert table.column_names == ["id", "truth", "prediction", "probability", "probabilities", *kept]
    classes = json.loads(table.schema.metadata[b"classes"])
    for row in table.to_pylist():
        chances = row["probabilities"]
        assert sum(chances) == pytest.approx(1) and classes[int(np.argmax(chances))] == row["prediction"]
        assert max(chances) == row["probability"]
    assert set(results["evaluate"].metrics) >= {"accuracy", "f1_macro", "calibration_error"}
    right = [row["truth"] == row["prediction"] for row in table.to_pylist()]
    assert results["evaluate"].metrics["accuracy"] == pytest.approx(sum(right) / len(right))


def test_embeddings_are_normalized_and_stamped(run):
    output, _, _ = run
    table = pq.read_table(output / "embed" / "embeddings.parquet")
    vectors = np.array(table["vector"].to_pylist())
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert table.schema.metadata[b"hf_ssl.pooling"] == b"mean"


def test_compare_tables(tmp_path, minilm, newsgroups_folder):
    result = hf_ssl.compare(
        data=str(newsgroups_folder), model=str(minilm), adapted=str(minilm), output=str(tmp_path / "r"), labels_per_class=[2],
        num_seeds=2, probe_draws=2, finetune_arms=False, test_limit=40,
    )  # fmt: skip
    table = json.loads((result.path / "table.json").read_text())["Frozen probe"]
    line = table["lines"][0]
    assert line["base"]["mean"] == line["adapted"]["mean"], "the same model on both sides must tie"
    assert result.metrics["verdict"] == {"Frozen probe": KEPT}, "both arms are one checkpoint"


def test_unknown_option_names_the_nearest(tmp_path):
    with pytest.raises(ConfigError, match="mask_ratio") as error:
        hf_ssl.pretrain(data="x", model="y", output=str(tmp_path), mask_rato=0.2, lerning_rate=1)
    assert "learning_rate" in str(error.value), "all errors at once"


def test_no_data_no_model(tmp_path, newsgroups_folder):
    with pytest.raises(ConfigError, match="--data"):
        hf_ssl.pretrain(model="x", output=str(tmp_path / "a"))
    with pytest.raises(ConfigError, match="--model"):
        hf_ssl.pretrain(data=str(newsgroups_folder), output=str(tmp_path / "b"))


def test_foreign_folder_is_left_alone(tmp_path, minilm):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="not from a run"):
        hf_ssl.pretrain(data="x", model=str(minilm), output=str(tmp_path))


def test_no_labels(tmp_path, minilm):
    rows = [{"text": f"only text number {i}, nothing else"} for i in range(20)]
    with pytest.raises((DataError, ConfigError), match="label"):
        hf_ssl.finetune(data=rows, model=str(minilm), output=str(tmp_path / "r"))


def test_from_config_starts_at_random_with_the_checkpoints_processor(tmp_path, tiny_checkpoint, newsgroups_folder):
    source = tmp_path / "source"
    shutil.copytree(tiny_checkpoint("bert"), source)
    (source / "model.safetensors").unlink()  # a configuration and a tokenizer are enough
    options = {
        "data": str(newsgroups_folder),
        "from_config": True,
        "max_steps": 1,
        "max_length": 32,
        "monitor_points": 1,
    }
    result = hf_ssl.pretrain(**options, model=str(source), output=str(tmp_path / "run"))
    start = AutoModel.from_pretrained(tmp_path / "run" / "start")
    assert result.metrics["steps"] == 1 and start.config.hidden_size < 100
    with pytest.raises(ConfigError, match="no configuration .*'bert'"):
        hf_ssl.pretrain(**options, model="bert", output=str(tmp_path / "other"))
    with pytest.raises(CheckpointError, match="configuration of .*nowhere"):
        hf_ssl.pretrain(**options, model="./nowhere/at-all", output=str(tmp_path / "third"))
