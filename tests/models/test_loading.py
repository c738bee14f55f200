"""Loading a checkpoint: what is right is proved right, and every way to be wrong is refused by name."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
import transformers
from families import HEADS
from safetensors.torch import load_file, save_file

import tiny
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.modalities.text.text import Text
from hf_ssl.models import attention, loading

ARCHITECTURES = tiny.TEXT + tiny.IMAGE + tiny.AUDIO + tiny.TIMESERIES


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target, dirs_exist_ok=True)
    return target


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> None:
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})


def edit_config(folder: Path, **fields: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def test_the_real_backbone_is_complete(minilm):
    model, report = loading.load_model(str(minilm))
    assert (report.backbone_total, report.backbone_matched, report.backbone_complete) == (103, 103, True)
    assert (report.missing, report.unexpected, report.mismatched) == ([], [], [])
    assert report.license == "apache-2.0"
    assert report.weights_sha == hashlib.sha256((minilm / "model.safetensors").read_bytes()).hexdigest()
    assert report.provenance == loading.Provenance(str(minilm), None, "apache-2.0", report.weights_sha)
    assert not model.training
    assert json.loads(json.dumps(report.to_dict()))["matched"] == 103


def test_the_real_checkpoint_has_no_mlm_head_and_it_is_said(minilm):
    model, report = loading.load_model(str(minilm), "AutoModelForMaskedLM")
    assert report.backbone_complete and report.backbone_total == 101
    assert len(report.missing) == 6 and all(name.startswith("cls.predictions.") for name in report.missing)
    assert "cls.predictions.decoder.weight" not in report.missing, "it is tied to the embeddings"
    assert "6 tensors start at random" in report.summary()
    assert report.unexpected == ["pooler.dense.bias", "pooler.dense.weight"]
    assert len(report.summary().splitlines()) < 20


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_family_round_trips(arch, tiny_checkpoint):
    folder = tiny_checkpoint(arch)
    _, whole = loading.load_model(str(folder), tiny.default_auto_class(arch))
    assert whole.backbone_complete and whole.matched == whole.compared
    assert whole.missing == whole.unexpected == whole.mismatched == []
    if arch in tiny.WITHOUT_CLASSIFIER:
        return
    headed, report = loading.load_model(str(folder), HEADS[arch])
    assert report.backbone_complete and report.backbone_matched > 10
    new = {name for name in report.missing if "pooler" not in name}
    assert new and new <= {name for name, _ in headed.named_parameters()}
    # What is called new is what really differs from the file, and nothing else.
    again, _ = loading.load_model(str(folder), HEADS[arch])
    first, second = headed.state_dict(), again.state_dict()
    differs = {name for name in first if not torch.equal(first[name], second[name])}
    assert differs <= set(report.missing)
    assert any("weight" in name for name in differs)


def test_the_pooler_that_an_mlm_checkpoint_lacks_is_listed(tiny_checkpoint):
    _, report = loading.load_model(str(tiny_checkpoint("bert")), "AutoModelForSequenceClassification")
    assert "bert.pooler.dense.weight" in report.missing
    assert "starts at random: bert.pooler.dense.bias, bert.pooler.dense.weight" in report.summary()


def test_random_values_under_clean_names_are_caught(tiny_checkpoint, monkeypatch):
    """transformers#46620: loading_info was clean and the weights were random."""
    original = transformers.AutoModel.from_pretrained

    def careless(*args, **kwargs):
        model, info = original(*args, **kwargs)
        with torch.no_grad():
            model.encoder.layer[1].output.dense.weight[0, 0] += 1e-3
        return model, info

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", careless)
    with pytest.raises(CheckpointError, match=r"encoder\.layer\.1\.output\.dense\.weight: same shape .* other values"):
        loading.load_model(str(tiny_checkpoint("bert", "AutoModel")))


def test_a_missing_backbone_tensor_is_refused_by_name(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    gone = "bert.encoder.layer.0.attention.self.query.weight"
    rewrite(folder, lambda tensors: {name: value for name, value in tensors.items() if name != gone})
    with pytest.raises(CheckpointError, match=r"36 of 37 backbone tensors.*\n.*would start at random: " + gone):
        loading.load_model(str(folder), "AutoModelForMaskedLM")
    _, report = loading.load_model(str(folder), "AutoModelForMaskedLM", allow_incomplete=True)
    assert report.missing == [gone] and not report.backbone_complete
    _, wanted = loading.load_model(str(folder), "AutoModelForMaskedLM", expect_new=("bert.encoder.layer.0.*.query",))
    assert wanted.missing == [gone] and wanted.backbone_complete


def test_a_new_constant_is_not_mistaken_for_a_stored_one(tiny_checkpoint, tmp_path):
    """A fresh LayerNorm bias is zero, and the file has other zeros: equal content is no proof of origin."""
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    gone = "bert.encoder.layer.0.output.LayerNorm.bias"
    rewrite(folder, lambda t: {k: v for k, v in t.items() if k != gone} | {"spare": torch.zeros_like(t[gone])})
    _, report = loading.load_model(str(folder), "AutoModelForMaskedLM", allow_incomplete=True)
    assert report.missing == [gone] and report.unexpected == ["spare"]


def test_other_shapes_are_refused_with_both_shapes(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    edit_config(folder, max_position_embeddings=64)
    with pytest.raises(CheckpointError, match=r"position_embeddings\.weight: the model wants .*\(64, .*\(128, 32\)"):
        loading.load_model(str(folder), "AutoModelForMaskedLM")


def test_a_changed_number_of_labels_must_be_asked_for(tmp_path):
    folder = tiny.write_checkpoint("bert", tmp_path, "AutoModelForSequenceClassification", num_labels=5)
    arguments = {"model_id": str(folder), "auto_class": "AutoModelForSequenceClassification", "num_labels": 2}
    with pytest.raises(CheckpointError, match=r"classifier\.weight: the model wants shape \(2, 32\)"):
        loading.load_model(**arguments)
    model, report = loading.load_model(**arguments, expect_new=("classifier",))
    assert report.missing == ["classifier.bias", "classifier.weight"] and model.config.num_labels == 2
    assert report.backbone_complete


def test_another_architecture_is_refused(tiny_checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="'vit' checkpoint.*AutoModelForMaskedLM cannot.*AutoModelForImageClass"):
        loading.load_model(str(tiny_checkpoint("vit")), "AutoModelForMaskedLM")
    with pytest.raises(CheckpointError, match="'bert' checkpoint"):
        loading.load_model(str(tiny_checkpoint("bert")), "PatchTSTForPretraining")
    folder = copied(tiny_checkpoint("vit"), tmp_path / "m")
    shutil.copy(tiny_checkpoint("bert") / "config.json", folder / "config.json")
    with pytest.raises(CheckpointError, match="another architecture .*config.json"):
        loading.load_model(str(folder))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n", "git lfs pull"),
        (b"\xff\xff\xff\xff\xff\xff\xff\x7fgarbage", "not a readable safetensors file"),
        (b"", "is empty"),
    ],
)
def test_what_is_not_weights_is_named(content, message, tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        loading.load_model(str(folder))


def test_a_download_that_was_cut_short_is_refused(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        loading.load_model(str(folder))


def test_a_folder_without_weights_says_what_is_there(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"expected one of model\.safetensors.*found config\.json"):
        loading.load_model(str(folder))


def test_shards(tmp_path):
    tiny.tiny_model("bert").save_pretrained(tmp_path, max_shard_size="40KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    _, report = loading.load_model(str(tmp_path), "AutoModelForMaskedLM")
    assert report.backbone_complete and not report.missing
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"not there: {shards[1].name}"):
        loading.load_model(str(tmp_path), "AutoModelForMaskedLM")


def test_an_index_may_not_point_elsewhere(tmp_path, tiny_checkpoint):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    (folder / "model.safetensors").rename(tmp_path / "other.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../other.safetensors"}}))
    with pytest.raises(CheckpointError, match="outside its own folder"):
        loading.load_model(str(folder))


def pickled(folder: Path, content: object) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")


def test_pickled_tensors_are_read_with_a_note(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    pickled(folder, load_file(folder / "model.safetensors"))
    _, report = loading.load_model(str(folder), "AutoModelForMaskedLM")
    assert report.backbone_complete and "weights_only=True" in report.summary()


class Exploit:
    def __init__(self, marker: Path):
        self.marker = str(marker)

    def __reduce__(self):
        return (open, (self.marker, "w"))


def test_a_pickle_with_code_is_refused_and_not_run(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    pickled(folder, {"weight": Exploit(tmp_path / "owned")})
    with pytest.raises(CheckpointError, match="never unpickles"):
        loading.load_model(str(folder))
    assert not (tmp_path / "owned").exists()
    pickled_training = copied(tiny_checkpoint("bert"), tmp_path / "n")
    pickled(pickled_training, {"model": {"weight": torch.ones(2)}, "step": 3})
    with pytest.raises(CheckpointError, match="flat state dict"):
        loading.load_model(str(pickled_training))


def test_half_precision_files_become_float32_masters(tmp_path):
    tiny.tiny_model("bert").half().save_pretrained(tmp_path)
    model, report = loading.load_model(str(tmp_path), "AutoModelForMaskedLM")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert report.backbone_complete
    model, report = loading.load_model(str(tmp_path), "AutoModelForMaskedLM", dtype="bfloat16")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16} and report.backbone_complete


def test_names_of_older_versions(tmp_path):
    """LayerNorm gamma/beta of 2019 files, weight_g/weight_v of weight norm, and the v4 names of DINOv2."""
    bert = tiny.write_checkpoint("bert", tmp_path / "bert")
    rewrite(
        bert,
        lambda tensors: {
            name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
            for name, value in tensors.items()
        },
    )
    audio = tiny.write_checkpoint("wav2vec2", tmp_path / "wav2vec2")
    norms = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    rewrite(
        audio,
        lambda tensors: {
            next((name.replace(new, old) for new, old in norms.items() if new in name), name): value
            for name, value in tensors.items()
        },
    )
    assert any("weight_g" in name for name in load_file(audio / "model.safetensors"))
    for folder, auto_class in ((bert, "AutoModelForMaskedLM"), (audio, "AutoModel")):
        _, report = loading.load_model(str(folder), auto_class)
        assert report.backbone_complete and not report.missing and not report.unexpected


def test_tensors_that_the_loader_splits(tmp_path):
    """DINOv2-giant stores one `weights_in`; transformers 5 holds its two halves."""
    folder = tiny.write_checkpoint("dinov2", tmp_path, use_swiglu_ffn=True)
    assert any("weights_in" in name for name in load_file(folder / "model.safetensors"))
    model, report = loading.load_model(str(folder))
    assert any("gate_proj" in name for name in model.state_dict())
    assert report.backbone_complete and report.matched == report.compared and not report.unexpected


def test_two_embedding_tables_in_the_file_are_kept_apart_and_noted(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    rewrite(
        folder,
        lambda tensors: (
            tensors | {"cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"] + 1}
        ),
    )
    model, report = loading.load_model(str(folder), "AutoModelForMaskedLM")
    assert report.matched == report.compared == 43 and "embeddings are not tied" in report.summary()
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight


def test_weights_that_are_not_finite_are_refused(tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "m")
    bad = "bert.encoder.layer.0.intermediate.dense.bias"
    rewrite(folder, lambda tensors: tensors | {bad: torch.full_like(tensors[bad], float("nan"))})
    with pytest.raises(CheckpointError, match=f"not finite.*{bad}"):
        loading.load_model(str(folder), "AutoModelForMaskedLM")


def test_the_hub_cache_gives_id_revision_and_license(tiny_checkpoint):
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = Path(huggingface_hub.constants.HF_HUB_CACHE) / "models--someone--tiny-bert"
    snapshot = copied(tiny_checkpoint("bert"), repository / "snapshots" / commit)
    (snapshot / "README.md").write_text("---\nlicense: [mit, cc-by-4.0]\n---\n# Card\n")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    for model_id in ("someone/tiny-bert", str(snapshot)):
        _, report = loading.load_model(model_id, "AutoModelForMaskedLM")
        assert (report.model_id, report.revision, report.license) == ("someone/tiny-bert", commit, "mit, cc-by-4.0")
    assert loading.load_processor("someone/tiny-bert", "text")("the nurse")["input_ids"]


@pytest.mark.parametrize(
    ("model_id", "message"),
    [
        ("nobody/nothing-here", "neither a folder here.*HF_HUB_OFFLINE.*hf download nobody/nothing-here"),
        ("./runs/not-there", "no folder './runs/not-there'"),
        ("a/b/c", "does not look like a Hub id"),
        ("", "The model is empty"),
    ],
)
def test_a_place_that_does_not_exist(model_id, message):
    with pytest.raises(CheckpointError, match=message):
        loading.load_model(model_id)


def test_an_adapter_is_not_a_model(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "someone/base"}))
    with pytest.raises(CheckpointError, match="PEFT adapter.*'someone/base'.*load_adapter"):
        loading.load_model(str(tmp_path))


def test_options_are_checked(tiny_checkpoint):
    folder = str(tiny_checkpoint("bert"))
    with pytest.raises(ConfigError, match="hidden_dropout_probb.*Did you mean 'hidden_dropout_prob'"):
        loading.load_model(folder, hidden_dropout_probb=0.1)
    with pytest.raises(ConfigError, match="Did you mean 'AutoModelForMaskedLM'"):
        loading.load_model(folder, "AutoModelForMaskLM")
    with pytest.raises(ConfigError, match="dtype is one of"):
        loading.load_model(folder, dtype="auto")
    model, _ = loading.load_model(
        folder, "AutoModelForMaskedLM", hidden_dropout_prob=0.25, attn_implementation="eager"
    )
    assert model.config.hidden_dropout_prob == 0.25 and model.config._attn_implementation == "eager"


@pytest.mark.parametrize("family", ["bert", "modernbert", "vit", "wav2vec2"])
def test_attention_on_a_cpu_computes_in_float32_and_leaves_no_trace(tiny_checkpoint, tmp_path, family, monkeypatch):
    folder = str(tiny_checkpoint(family))
    ours, _ = loading.load_model(folder)
    stock, _ = loading.load_model(folder, attn_implementation="sdpa")
    assert ours.config._attn_implementation == attention.OWN
    inputs = {"input_ids": torch.arange(5, 25).view(2, 10), "attention_mask": torch.ones(2, 10, dtype=torch.long)}
    if family == "vit":
        inputs = {"pixel_values": torch.linspace(-1, 1, 2 * 3 * 32 * 32).view(2, 3, 32, 32)}
    if family == "wav2vec2":
        inputs = {"input_values": torch.linspace(-1, 1, 4000).sin().view(2, 2000)}
    seen = []
    whole = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda query, *rest, **named: seen.append(query.dtype) or whole(query, *rest, **named),
    )
    with torch.inference_mode():
        torch.testing.assert_close(ours(**inputs)[0], stock(**inputs)[0], atol=0, rtol=0)
        seen.clear()
        with torch.autocast("cpu", torch.bfloat16):
            half = ours(**inputs)[0]
        assert seen and set(seen) == {torch.float32}
        whole_state = stock(**inputs)[0].flatten()
        assert torch.nn.functional.cosine_similarity(half.float().flatten(), whole_state, dim=0) > 0.99
    ours.save_pretrained(tmp_path)
    assert attention.OWN not in (tmp_path / "config.json").read_text()
    transformers.AutoModel.from_pretrained(tmp_path)


def test_processors(tiny_checkpoint, tmp_path):
    assert loading.load_processor(str(tiny_checkpoint("bert")), "text").mask_token == "[MASK]"
    assert loading.load_processor(str(tiny_checkpoint("wav2vec2")), "audio").sampling_rate == 16000
    assert loading.load_processor(str(tiny_checkpoint("patchtst")), "timeseries") is None
    with pytest.raises(ConfigError, match="Did you mean 'image'"):
        loading.load_processor(str(tiny_checkpoint("vit")), "images")
    with pytest.raises(CheckpointError, match="no usable feature extractor"):
        loading.load_processor(str(tiny_checkpoint("bert")), "audio")


@pytest.mark.parametrize("longest", [-5, 0, "long", [1], None])
def test_a_tokenizer_with_a_longest_input_that_cannot_be(longest, tiny_checkpoint, tmp_path):
    folder = Path(shutil.copytree(tiny_checkpoint("bert"), tmp_path / "model"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "model_max_length": longest}))
    if longest is None:
        assert loading.load_processor(str(folder), "text").model_max_length > 512, "as good as no limit"
    else:
        with pytest.raises(CheckpointError, match="longest input"):
            loading.load_processor(str(folder), "text")


def test_a_tokenizer_nested_too_deeply(tiny_checkpoint, tmp_path):
    folder = Path(shutil.copytree(tiny_checkpoint("bert"), tmp_path / "model"))
    (folder / "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="no usable tokenizer"):
        loading.load_processor(str(folder), "text")


def test_a_tokenizer_must_fit_the_embeddings():
    tokenizer = tiny.tiny_tokenizer("bert")
    fitting = tiny.tiny_model("bert")
    assert loading.check_vocabulary(fitting, tokenizer) == []
    roomy = tiny.tiny_model("bert", vocab_size=len(tokenizer) + 3)
    (note,) = loading.check_vocabulary(roomy, tokenizer)
    assert note == "the model has 3 embedding rows more than the tokenizer has tokens"
    tokenizer.add_tokens(["cardiomyopathy"])
    with pytest.raises(CheckpointError, match="'cardiomyopathy' would crash"):
        loading.check_vocabulary(fitting, tokenizer)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_hidden_layers": 1_000_000}, {"num_attention_heads": 0}, {"hidden_size": "wide"}, {"hidden_act": "evil"}
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_cannot_be_is_our_error(fields, tiny_checkpoint, tmp_path):
    folder = copied(tiny_checkpoint("bert"), tmp_path / "model")
    edit_config(folder, **fields)
    with pytest.raises(CheckpointError):
        Text().load(str(folder), "AutoModelForMaskedLM")
