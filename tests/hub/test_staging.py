"""The parts of a push that need no Hub: staging, the search for leaks, the card's texts and figures."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml
from places import TESTS

from hf_ssl.core import plugins
from hf_ssl.core.errors import HubError
from hf_ssl.core.run import RunDir, StageRecord
from hf_ssl.hub import card, metadata, staging, usage
from hf_ssl.hub.artifacts import check_repo_id, is_hub_id
from hf_ssl.hub.pipelines.base import find_pipeline
from hf_ssl.hub.staging import Artifact
from hf_ssl.modalities.base import Modality
from hf_ssl.modalities.image.image import Image
from hf_ssl.modalities.text.text import Text
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.models.pooling import Pooling, saved_pooling
from hf_ssl.models.reference import CheckpointRef

TOKEN = "hf_" + "aB3" * 11 + "x"


def facts(**more: object) -> card.CardFields:
    given = dict(
        repo="me/it", kind="model", auto_class="AutoModel", pipeline_tag="text-classification", modality="text", task="classification",
        license="mit", base_id="acme/base", base_revision="a" * 40, usage="print()",
    )  # fmt: skip
    return card.CardFields(**{**given, **more})


@pytest.mark.parametrize(("arch", "modality"), [("bert", Text()), ("vit", Image()), ("patchtst", TimeSeries())])
def test_a_staged_folder_is_plain_and_says_nothing_of_this_machine(
    arch: str, modality: Modality, tiny_checkpoint, tmp_path: Path
) -> None:
    source = Path(shutil.copytree(tiny_checkpoint(arch, "AutoModel"), tmp_path / "source"))
    encoder = modality.load(str(source))
    encoder.processor.save_pretrained(source)
    (source / "training_args.bin").write_bytes(b"\x80")
    folder = tmp_path / "staged"
    folder.mkdir()
    left = staging.stage_model(Artifact("backbone", source), encoder, folder)
    assert left == ["training_args.bin"]
    assert {path.suffix for path in folder.rglob("*") if path.is_file()} == {".json", ".safetensors"}
    assert saved_pooling(CheckpointRef(str(folder))) == (Pooling("mean") if arch == "bert" else None)
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        assert (isinstance(content, list) or not staging.LOCAL_KEYS & content.keys()) and str(
            source
        ) not in path.read_text()
    staging.refuse_leaks(folder, TOKEN, [str(tmp_path)])
    tensors = staging.reference(Artifact("backbone", source), None)
    assert any(name.startswith("in.") for name in tensors) and any(name.startswith("out.") for name in tensors)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("README.md", f"my token {TOKEN}", "an access token"),
        ("config.json", json.dumps({"note": {"deep": [f"x {TOKEN}"]}}), "an access token"),
        ("config.json", json.dumps({"cache": "/srv/models/mine"}), "cache is the absolute path"),
        ("config.json", json.dumps({"a": [{"b": "file:///x/y"}]}), r"a\[0\]\.b is the absolute path"),
        ("config.json", json.dumps({"cache": "D:\\models"}), "absolute path"),
        ("README.md", "see /home/somebody/data/rows", "the path /home/somebody/"),
        ("weights.bin", "x", "not published"),
        ("model.pkl", "x", "not published"),
        ("rows.csv", "x", "not published"),
    ],
)
def test_leaks_are_found(tmp_path: Path, name: str, content: str, reason: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(HubError, match=reason):
        staging.refuse_leaks(tmp_path, None, ["/home/somebody/"])


def test_what_only_looks_like_a_leak_passes(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"id2label": {"0": "/r/AskReddit/new"}, "unk": "/", "act": "gelu"})
    )
    (tmp_path / "tokenizer.json").write_text(json.dumps({"model": {"vocab": {"/home/": 1, "/usr/bin/": 2}}}))
    (tmp_path / "README.md").write_text("either/or, and https://huggingface.co/a/b, hf_short")
    staging.refuse_leaks(tmp_path, "hf_" + "q" * 34, ["/home/somebody/"])


def test_the_token_in_use_is_found_even_in_weights(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"\0" * 2_000_000 + b"any-odd-secret" + b"\0" * 10)
    with pytest.raises(HubError, match="access token"):
        staging.refuse_leaks(tmp_path, "any-odd-secret", [])


def test_text_of_the_user_is_kept() -> None:
    ours = f"---\nlicense: mit\n---\n# t\n{metadata.BEGIN}\n## Mine\n\n--- dashes ---\n{metadata.END}\nrest"
    assert metadata.kept_text(ours) == "## Mine\n\n--- dashes ---"
    assert metadata.kept_text("---\nlicense: mit\n---\nMy whole card.") == "My whole card."
    assert metadata.kept_text(None) == metadata.INVITATION
    assert metadata.kept_text(f"{metadata.BEGIN}\n{metadata.END}") == metadata.INVITATION


def test_metadata_of_the_user_are_kept() -> None:
    fields = {"license": "mit", "tags": ["hf_ssl"]}
    merged = metadata.merge_metadata("---\nlicense: gpl\nthumbnail: x\ntags: [mine, hf_ssl]\n---\n", fields)
    assert merged == {"license": "mit", "thumbnail": "x", "tags": ["hf_ssl", "mine"]}
    with pytest.raises(HubError, match="not YAML"):
        metadata.merge_metadata("---\na: [\n---\n", fields)


def test_a_license_the_hub_does_not_list_is_named() -> None:
    assert metadata.split_license("Apache-2.0") == {"license": "apache-2.0"}
    assert metadata.split_license("My Own 3") == {"license": "other", "license_name": "my-own-3"}


def test_a_card_for_a_run_that_measured_nothing(tmp_path: Path) -> None:
    text = card.write_card(tmp_path, RunDir(tmp_path / "run"), facts(title="a: {b", datasets=["me/data"]))
    fields = yaml.safe_load(text.split("---")[1])
    assert fields["datasets"] == ["me/data"] and fields["base_model"] == "acme/base"
    assert "How good it is" not in text and "a: {b" in text
    assert text == card.write_card(tmp_path, RunDir(tmp_path / "run"), facts(title="a: {b", datasets=["me/data"])), (
        "no dates"
    )


def body(stages: dict[str, StageRecord], folder: Path, **more: object) -> str:
    run = RunDir(folder / "run")
    run.path, run.stages = folder, stages
    return card.write_card(folder, run, facts(**more))


def test_the_card_claims_nothing_that_did_not_happen(tmp_path: Path) -> None:
    """Without pre-training, with one that kept the start, with one that moved it, from random weights."""

    def told(kind: str = "model", **pretrain: object) -> str:
        options, metrics = {"from_config": pretrain.get("scratch", False)}, {"kept_step": pretrain.get("kept")}
        record = StageRecord("done", options=options, metrics=metrics)
        return body({"pretrain": record} if pretrain else {}, tmp_path, kind=kind)

    kept, moved, scratch = (
        "nothing was better than the start",
        "adapted to a domain by self-supervised",
        "random weights",
    )
    seen = {case: [part in text for part in (kept, moved, scratch)] for case, text in {
        "none": told(), "kept": told(kept=0), "moved": told(kept=4), "scratch": told(kept=4, scratch=True),
    }.items()}  # fmt: skip
    assert seen == {
        "none": [False, False, False], "kept": [True, False, False], "moved": [False, True, False], "scratch": [False, False, True],
    }  # fmt: skip
    inherited = "biases of the start checkpoint remain"
    assert inherited in told(kept=4) and inherited not in told(kept=4, scratch=True)
    assert "unchanged" in told("backbone", kept=0)


@pytest.mark.parametrize("near", [True, False])
def test_the_card_names_the_comparison_that_was_made(near: bool, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    report = {"rows": {"train": 3}, "leaks": [], "leakage": "strip", "near_checked": near}
    (tmp_path / "data" / "report.json").write_text(json.dumps(report))
    assert ("similar" in body({}, tmp_path)) == near


def test_the_card_shows_labels_inputs_and_the_interval(tmp_path: Path) -> None:
    modules = ", ".join(f"block.{number}.norm" for number in range(50))
    interval = {"metric": "accuracy", "low": 0.6, "high": 0.875, "confidence": 0.95, "units": "40 examples"}
    trained = f"9 of 10 parameters are trained (90%); whole modules: {modules}"
    stages = {
        "finetune": StageRecord("done", metrics={"trainable": trained}),
        "evaluate": StageRecord("done", metrics={"accuracy": 0.75}, outputs={"interval": interval}),
    }
    text = body(stages, tmp_path, labels=["crane", "ship"], inputs="224 × 224 pixels", repo="me/x")
    for part in ("`crane`, `ship`", "224 × 224 pixels", "0.6000 to 0.8750", "50 modules"):
        assert part in text, part
    assert "block.7.norm" not in text
    title = next(line for line in text.splitlines() if line.startswith("# "))
    assert "classification" in title and "base" in title


def test_the_card_tells_what_was_better_than_the_adapted_model(tmp_path: Path) -> None:
    arm = {"mean": 0.7, "sd": None, "n": 1}
    line = {"budget": 16, "base": arm, "adapted": {**arm, "mean": 0.8}, "others": {"TF-IDF": {**arm, "mean": 0.9}},
            "difference": {"higher_is_better": True}}  # fmt: skip
    table = {"metric": "f1_macro", "lines": [line], "overall": {"word": "helped", "sentence": "Yes."}}
    (tmp_path / "compare").mkdir()
    (tmp_path / "compare" / "table.md").write_text("### Frozen probe\n\n| a |\n")
    for wins in (True, False):
        line["difference"]["higher_is_better"] = wins
        (tmp_path / "compare" / "table.json").write_text(json.dumps({"Frozen probe": table}))
        assert ("TF-IDF (0.900)" in body({}, tmp_path)) == wins


def test_usage_lines_are_three_and_compile(tmp_path: Path) -> None:
    for tag in plugins.names("pipelines"):
        served = find_pipeline(tag)
        assert served is not None and served.tag == tag
        lines = served.usage("me/it", 16_000)
        compile(lines, "usage.py", "exec")
        assert len(lines.splitlines()) == 3 and "me/it" in lines
    (tmp_path / "config.json").write_text(json.dumps({"context_length": 64, "num_input_channels": 2}))
    bare = usage.of_class("me/it", "AutoModel", tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{}")
    text = usage.of_class("me/it", "AutoModel", tmp_path)
    assert "zeros(1, 64, 2)" in bare and "AutoTokenizer" in text
    for lines in (bare, text):
        compile(lines, "usage.py", "exec")
    lines = usage.of_adapter("me/it", "AutoModel", "acme/base", "a" * 40, {"num_labels": 3})
    compile(lines, "usage.py", "exec")
    assert f'"acme/base", revision="{"a" * 40}", num_labels=3' in lines


def test_a_pipeline_of_ones_own_goes_by_dotted_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TESTS / "dependent" / "src"))
    served = find_pipeline("genomics_ssl.served:SequenceClassification")
    assert served is not None and served.tag == "text-classification"
    assert find_pipeline("text-ranking") is None, "one that nothing is known of is not named on a card"


def test_names_of_repositories() -> None:
    assert check_repo_id("me/it") == "me/it" and is_hub_id("a/b") and not is_hub_id("./b") and not is_hub_id("/a/b")
    for name in (None, "", "alone", "a/b/c", "a/..", "a/b c"):
        with pytest.raises(HubError):
            check_repo_id(name)
