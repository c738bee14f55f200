"""The parts of a push that need no Hub: staging, the search for leaks, the card's texts and figures."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hf_ssl.core.errors import HubError
from hf_ssl.core.run import RunDir, StageRecord
from hf_ssl.evaluation.figures import label_efficiency as plot
from hf_ssl.hub import card, staging, usage
from hf_ssl.hub.artifacts import check_repo_id, is_hub_id
from hf_ssl.hub.staging import Artifact
from hf_ssl.modalities.text.text import Text

TOKEN = "hf_" + "aB3" * 11 + "x"


def facts(**more: object) -> card.CardFields:
    given = dict(
        repo="me/it", kind="model", auto_class="AutoModel", pipeline_tag="text-classification", modality="text", task="classification",
        license="mit", base_id="acme/base", base_revision="a" * 40, usage="print()",
    )  # fmt: skip
    return card.CardFields(**{**given, **more})


@pytest.mark.parametrize("arch", ["bert", "vit", "patchtst"])
def test_a_staged_folder_is_plain_and_says_nothing_of_this_machine(arch: str, tiny_checkpoint, tmp_path: Path) -> None:
    import tiny

    source = tiny_checkpoint(arch, "AutoModel")
    (source / "training_args.bin").write_bytes(b"\x80")
    folder = tmp_path / "staged"
    folder.mkdir()
    left = staging.stage_model(Artifact("backbone", source), tiny.tiny_processor(arch), folder)
    (source / "training_args.bin").unlink()
    assert left == ["training_args.bin"]
    assert {path.suffix for path in folder.iterdir()} == {".json", ".safetensors"}
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        assert not staging.LOCAL_KEYS & content.keys() and str(source) not in path.read_text()
    staging.refuse_leaks(folder, TOKEN, [str(tmp_path)])
    tensors = staging.reference(Artifact("backbone", source), Text(), None)
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
    ours = f"---\nlicense: mit\n---\n# t\n{card.BEGIN}\n## Mine\n\n--- dashes ---\n{card.END}\nrest"
    assert card.kept_text(ours) == "## Mine\n\n--- dashes ---"
    assert card.kept_text("---\nlicense: mit\n---\nMy whole card.") == "My whole card."
    assert card.kept_text(None) == card.INVITATION
    assert card.kept_text(f"{card.BEGIN}\n{card.END}") == card.INVITATION


def test_metadata_of_the_user_are_kept() -> None:
    fields = {"license": "mit", "tags": ["hf_ssl"]}
    merged = card.merge_metadata("---\nlicense: gpl\nthumbnail: x\ntags: [mine, hf_ssl]\n---\n", fields)
    assert merged == {"license": "mit", "thumbnail": "x", "tags": ["hf_ssl", "mine"]}
    with pytest.raises(HubError, match="not YAML"):
        card.merge_metadata("---\na: [\n---\n", fields)


def test_a_license_the_hub_does_not_list_is_named() -> None:
    assert card.split_license("Apache-2.0") == {"license": "apache-2.0"}
    assert card.split_license("My Own 3") == {"license": "other", "license_name": "my-own-3"}


def test_a_card_for_a_run_that_measured_nothing(tmp_path: Path) -> None:
    text = card.write_card(tmp_path, RunDir(tmp_path / "run"), facts(title="a: {b", datasets=["me/data"]))
    fields = yaml.safe_load(text.split("---")[1])
    assert fields["datasets"] == ["me/data"] and fields["base_model"] == "acme/base"
    assert "How good it is" not in text and "a: {b" in text
    assert text == card.write_card(tmp_path, RunDir(tmp_path / "run"), facts(title="a: {b", datasets=["me/data"])), (
        "no dates"
    )


def test_the_lead_claims_nothing_that_did_not_happen() -> None:
    """Without pre-training, with one that kept the start, with one that moved it, from random weights."""

    def lead(**pretrain: object) -> str:
        options, metrics = {"from_config": pretrain.get("scratch", False)}, {"kept_step": pretrain.get("kept")}
        record = StageRecord("done", options=options, metrics=metrics)
        return card._lead(facts(), {"pretrain": record} if pretrain else {})

    assert "unlabeled" not in lead() and "fine-tuned for classification" in lead()
    assert "nothing was better than the start" in lead(kept=0) and "adapted" not in lead(kept=0)
    assert "adapted to a domain by self-supervised training" in lead(kept=4)
    assert lead(kept=4, scratch=True).startswith("A model with random weights, trained on data of a domain")
    assert "unchanged" in card._lead(
        facts(kind="backbone"), {"pretrain": StageRecord("done", metrics={"kept_step": 0})}
    )


def test_usage_lines_are_three_and_compile() -> None:
    own = {"config": SimpleNamespace(sampling_rate=16_000)}
    kinds = {kind: SimpleNamespace(processor=kind, **own) for kind in ("text", "image", "audio", None)}
    settings = {"context_length": 64, "num_input_channels": 2}
    for kind, modality in kinds.items():
        for tag in ("fill-mask", "text-classification", "image-classification", "feature-extraction", None):
            lines = usage.of_model("me/it", "AutoModel", tag, modality, settings if kind is None else {})
            compile(lines, "usage.py", "exec")
            assert len(lines.splitlines()) == 3 and "me/it" in lines
    lines = usage.of_adapter("me/it", "AutoModel", "acme/base", "a" * 40, {"num_labels": 3})
    compile(lines, "usage.py", "exec")
    assert f'"acme/base", revision="{"a" * 40}", num_labels=3' in lines


def test_figures_are_svg_with_a_text_beside_them() -> None:
    curves = [
        plot.Curve("base", [2, 8], [0.5, 0.6], [0.1, 0.0]),
        plot.Curve("a < b", [2, 8], [0.55, 0.7], [0.02, 0.01]),
    ]
    svg = plot.curves_svg("Labels & scores", "labels", "f1", curves)
    root = ElementTree.fromstring(svg)
    assert root.find("{*}title").text == "Labels & scores"
    assert root.find("{*}desc").text == "base: 2 → 0.500, 8 → 0.600; a < b: 2 → 0.550, 8 → 0.700"
    assert len(root.findall("{*}polyline")) == 2 and svg == plot.curves_svg("Labels & scores", "labels", "f1", curves)
    assert "nan" not in plot.curves_svg("one point", "x", "y", [plot.Curve("c", [4], [0.5], [0.0])])


def test_names_of_repositories() -> None:
    assert check_repo_id("me/it") == "me/it" and is_hub_id("a/b") and not is_hub_id("./b") and not is_hub_id("/a/b")
    for name in (None, "", "alone", "a/b/c", "a/..", "a/b c"):
        with pytest.raises(HubError):
            check_repo_id(name)


def test_a_table_of_one_budget_has_no_curve() -> None:
    def line(budget: object, mean: float) -> dict:
        arm = {"mean": mean, "sd": None, "n": 1}
        return {"budget": budget, "base": arm, "adapted": arm, "others": {"TF-IDF": arm}}

    table = {"metric": "spearman", "lines": [line("no", 0.5)]}  # cosines of pairs: no labels at all
    assert plot.label_efficiency("Frozen, without labels", table, "labels") is None
    table["lines"] = [line(10, 0.5), line(50, 0.6)]
    svg = plot.label_efficiency("Fine-tuned", table, "labeled examples")
    assert svg is not None and "labeled examples" in svg and svg.count("<polyline") == 3
    assert plot.figure_name("Frozen, without labels") == "label_efficiency_frozen_without_labels.svg"
