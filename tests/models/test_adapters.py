"""Adapters: on the right layers, with everything new trained and saved, and back to a plain model."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import peft as upstream
import pytest
import torch
import transformers
from families import FAMILIES, HEADS, headed
from safetensors.torch import load_file
from torch import nn

import tiny
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models import adapters, structure, vocabulary
from hf_ssl.models.loading import load_model

# A call of PEFT's own to a name that transformers 5 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")

ADAPTERS = ("lora", "rslora", "dora", "ia3", "oft")


def new_tensors(model: nn.Module) -> list[str]:
    """What a bare backbone checkpoint would leave at random: everything outside the backbone."""
    inside = structure.in_backbone(model)
    return [name for name, _ in model.named_parameters() if not inside(name)]


def main_output(output) -> torch.Tensor:
    return output.logits if "logits" in output else output.prediction_logits


def train(model: nn.Module, steps: int = 2, batch=None) -> set[str]:
    """A few steps; returns the trainable parameters that never got a gradient other than zero."""
    batch = batch or structure.example_inputs(model)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.SGD(parameters.values(), lr=0.1)
    silent = set(parameters)
    model.train()
    for _ in range(steps):
        output = main_output(model(**batch))
        target = torch.linspace(-1, 1, output.numel()).view_as(output)
        (output - target).pow(2).mean().backward()
        silent -= {name for name, p in parameters.items() if p.grad is not None and bool(p.grad.abs().sum() > 0)}
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    return silent


def outputs(model: nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return main_output(model(**structure.example_inputs(model)))


# IA3 and OFT as PEFT has them scale and turn linear layers; these networks have none (inside their blocks, on 2-D input).
WITHOUT = {("resnet", "ia3"), ("resnet", "oft"), ("convnext", "oft")}


@pytest.mark.parametrize(("arch", "method"), sorted(WITHOUT))
def test_network_without_layers_for_a_method_is_refused(arch, method):
    with pytest.raises(ConfigError, match="or use method 'full'"):
        adapters.apply(headed(arch), method)


# rsLoRA is LoRA with another factor: one family of each kind of module is enough.
@pytest.mark.parametrize(
    ("arch", "method"),
    [
        (arch, method)
        for arch in FAMILIES
        for method in ADAPTERS
        if (method != "rslora" or arch in ("bert", "vit")) and (arch, method) not in WITHOUT
    ],
)
def test_every_family_with_every_adapter(arch, method, tmp_path):
    base = headed(arch)
    missing = new_tensors(base)
    frozen_before = {name: p.detach().clone() for name, p in base.named_parameters() if name not in missing}
    model = adapters.apply(base, method, missing=missing, rank=4)
    count = adapters.trainable_report(model)
    assert 0 < count.adapter < count.trainable < count.total and f"{count.fraction:.2%}" in str(count)

    silent = train(model)
    assert not silent, f"trained but without gradient: {sorted(silent)[:3]}"
    frozen = {name.replace(".base_layer.", "."): p for name, p in model.get_base_model().named_parameters()}
    same = {name for name in frozen_before if name in frozen and torch.equal(frozen[name], frozen_before[name])}
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)  # these are trained, in a copy
    inside = [name for name, module in headed(arch).named_modules() if isinstance(module, kinds)]
    norms = {f"{name}.{part}" for name in inside for part in ("weight", "bias")}
    assert same == frozen_before.keys() - norms

    adapted = outputs(model)
    adapters.save_adapter(model, tmp_path / "adapter", "someone/base")
    again = adapters.load_adapter(headed(arch), tmp_path / "adapter").eval()
    assert torch.allclose(outputs(again), adapted, atol=1e-6)

    merged = adapters.merge(model)
    assert type(merged) is type(base) and not isinstance(merged, upstream.PeftModel)
    assert not any("lora" in name or "modules_to_save" in name or "base_layer" in name for name in merged.state_dict())
    assert torch.allclose(outputs(merged), adapted, atol=1e-5)
    assert any(p.requires_grad for name, p in merged.named_parameters() if name in frozen_before)


@pytest.mark.parametrize("arch", FAMILIES)
def test_targets_are_in_blocks_and_never_in_the_head(arch):
    model = headed(arch)
    names = [name for name, _ in model.named_modules(remove_duplicate=False)]
    blocks = tuple(name + "." for name, _ in structure.blocks(model))
    for method in ADAPTERS:
        if (arch, method) in WITHOUT:
            continue
        targets = adapters.target_modules(model, method, 4)
        hit = {name for name in names if any(name == t or name.endswith("." + t) for t in targets)}
        assert hit and all(name.startswith(blocks) for name in hit)
        parts = [model.get_submodule(name) for name in hit]
        assert all(structure.is_linear(part) or isinstance(part, nn.Conv2d) for part in parts)


def test_target_names():
    assert adapters.target_modules(headed("bert")) == ["intermediate.dense", "key", "output.dense", "query", "value"]
    assert adapters.target_modules(headed("modernbert")) == ["Wi", "Wo", "Wqkv"]
    assert adapters.target_modules(headed("patchtst"), "ia3") == ["ff.3", "k_proj", "v_proj"]
    assert adapters.target_modules(headed("whisper"), "ia3") == ["fc2", "k_proj", "v_proj"]


def test_layers_that_an_adapter_cannot_reach_are_left_out_or_refused():
    model = headed("wavlm")
    assert adapters.target_modules(model) == ["intermediate_dense", "output_dense"]
    with pytest.raises(ConfigError, match="would do nothing.*intermediate_dense"):
        adapters.apply(model, "lora", target_modules=["q_proj", "v_proj"])
    # The claim itself: with plain PEFT nothing that is trained reaches the output.
    plain = upstream.get_peft_model(headed("wavlm"), upstream.LoraConfig(target_modules=["q_proj", "v_proj"])).eval()
    assert any(p.requires_grad for p in plain.parameters())
    assert not main_output(plain(**structure.example_inputs(plain))).requires_grad
    useful = adapters.apply(model, "lora")
    main_output(useful(**structure.example_inputs(useful))).sum().backward()
    assert adapters.without_gradient(useful) == []


def test_convolutional_networks_get_convolution_adapters():
    config = transformers.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], num_labels=3)
    model = transformers.ResNetForImageClassification(config)
    wrapped = adapters.apply(model, "lora", missing=new_tensors(model), rank=2)
    assert any(isinstance(module, nn.Conv2d) and "lora_A" in name for name, module in wrapped.named_modules())
    assert any("normalization" in name for name in adapters.trainable_report(wrapped).modules), "batch norms move too"


def test_batch_norm_statistics_travel_with_the_adapter(tmp_path):
    base = headed("patchtst")
    model = adapters.apply(base, "lora", missing=new_tensors(base))
    train(model)
    adapters.save_adapter(model, tmp_path, "someone/base")
    stored = load_file(tmp_path / "adapter_model.safetensors")
    moved = [name for name in stored if name.endswith("running_mean")]
    assert len(moved) == 2 * tiny.LAYERS and all(stored[name].abs().sum() > 0 for name in moved)


def test_linear_probe_and_full():
    base = headed("bert")
    probe = adapters.apply(base, "linear-probe", missing=["classifier.weight", "classifier.bias"])
    trained = [name for name, p in probe.named_parameters() if p.requires_grad]
    assert trained == ["classifier.weight", "classifier.bias"]
    pooled = adapters.apply(headed("bert"), "linear_probe", missing=["classifier.weight", "bert.pooler.dense.weight"])
    assert pooled.bert.pooler.dense.weight.requires_grad
    assert all(p.requires_grad for p in adapters.apply(headed("bert"), "full").parameters())
    with pytest.raises(ConfigError, match="no head to train"):
        adapters.apply(tiny.tiny_model("bert", "AutoModel"), "linear-probe")
    assert adapters.trainable_report(probe).modules == ()
    assert adapters.merge(probe) is probe


def test_options_are_checked():
    with pytest.raises(ConfigError, match="Did you mean 'rslora'"):
        adapters.apply(headed("bert"), "rs-lora")
    with pytest.raises(ConfigError, match="match no module.*'query'"):
        adapters.apply(headed("bert"), "lora", target_modules=["q_proj"])
    with pytest.raises(ConfigError, match="positive integer"):
        adapters.apply(headed("bert"), "lora", rank=0)
    wrapped = adapters.apply(headed("bert"), "lora")
    with pytest.raises(ConfigError, match="carries an adapter already"):
        adapters.apply(wrapped, "lora")
    with pytest.raises(ConfigError, match="no adapter"):
        adapters.save_adapter(headed("bert"), "unused", "someone/base")


def scale(model: nn.Module) -> float:
    return next(m.scaling["default"] for m in model.modules() if isinstance(m, upstream.tuners.lora.LoraLayer))


@pytest.mark.parametrize("rank", [2, 8, 32])
def test_the_scale_of_the_update_does_not_depend_on_rank(rank):
    for method in ("lora", "rslora", "dora"):
        model = adapters.apply(tiny.tiny_model("bert", "AutoModel", hidden=64), method, rank=rank)
        assert scale(model) == pytest.approx(2.0)
    explicit = adapters.apply(tiny.tiny_model("bert", "AutoModel"), "lora", rank=4, alpha=4)
    assert scale(explicit) == 1.0


def test_learning_rates():
    assert adapters.learning_rate("full") == 2e-5 and adapters.learning_rate("lora", base=5e-5) == pytest.approx(5e-4)
    assert adapters.learning_rate("full") < adapters.learning_rate("lora") < adapters.learning_rate("ia3")
    with pytest.raises(ConfigError, match="is one of"):
        adapters.learning_rate("prefix")


def test_modules_to_save_are_the_largest_new_modules():
    bert = tiny.tiny_model("bert", HEADS["bert"])
    pooler = ["bert.pooler.dense.weight", "bert.pooler.dense.bias"]
    head = ["classifier.weight", "classifier.bias"]
    assert adapters.modules_to_save(bert, head + pooler) == ["bert.pooler", "classifier"]
    assert adapters.modules_to_save(bert, head) == ["classifier"]
    for arch, modules in {"distilbert": ["classifier", "pre_classifier"], "roberta": ["classifier"]}.items():
        assert adapters.modules_to_save(headed(arch), new_tensors(headed(arch))) == modules
    mlm = tiny.tiny_model("bert")
    fresh = [name for name, _ in mlm.named_parameters() if name.startswith("cls.")]
    assert adapters.modules_to_save(mlm, [*fresh, "cls.predictions.decoder.bias"]) == ["cls"]


def test_a_new_bare_parameter_is_refused_unless_allowed():
    model = headed("wav2vec2")
    with pytest.raises(ConfigError, match="masked_spec_embed is new.*bare parameter of Wav2Vec2Model.*frozen_ok"):
        adapters.apply(model, "lora", missing=["wav2vec2.masked_spec_embed"])
    assert adapters.apply(model, "lora", missing=["wav2vec2.masked_spec_embed"], frozen_ok=("*.masked_spec_embed",))
    weighted = tiny.tiny_model("wav2vec2", HEADS["wav2vec2"], use_weighted_layer_sum=True)
    with pytest.raises(ConfigError, match="layer_weights is new"):
        adapters.apply(weighted, "lora", missing=["layer_weights"])


def mlm_after_a_bare_encoder(folder: Path) -> tuple[transformers.PreTrainedModel, list[str]]:
    tiny.write_checkpoint("bert", folder, "AutoModel")
    model, report = load_model(str(folder), "AutoModelForMaskedLM")
    assert len(report.missing) == 6
    return model, report.missing


def test_a_new_mlm_head_stays_tied(tmp_path):
    base, missing = mlm_after_a_bare_encoder(tmp_path / "base")
    model = adapters.apply(base, "lora", missing=missing)
    embedding = base.bert.embeddings.word_embeddings.weight
    copy = base.cls.modules_to_save["default"]
    assert copy.predictions.decoder.weight is embedding and not embedding.requires_grad
    assert copy.predictions.decoder.bias.requires_grad
    assert not train(model)
    before = outputs(model)
    merged = adapters.merge(model)
    assert merged.cls.predictions.decoder.weight is merged.bert.embeddings.word_embeddings.weight
    merged.save_pretrained(tmp_path / "merged")
    again, report = load_model(str(tmp_path / "merged"), "AutoModelForMaskedLM")
    assert report.backbone_complete and not report.missing
    assert torch.allclose(outputs(again), before, atol=1e-5)
    assert again.cls.predictions.decoder.weight is again.bert.embeddings.word_embeddings.weight


@pytest.mark.parametrize("new_head", [True, False])
def test_new_words_are_trained_tied_and_saved(new_head, tmp_path):
    base, missing = mlm_after_a_bare_encoder(tmp_path / "base")
    tokenizer = tiny.tiny_tokenizer("bert")
    vocabulary.extend(base, tokenizer, ["cardiomyopathy"])
    model = adapters.apply(base, "lora", missing=missing if new_head else (), train_embeddings=True)
    embedding = model.get_base_model().bert.embeddings.word_embeddings.modules_to_save["default"].weight
    names = [name for name, p in model.named_parameters(remove_duplicate=False) if p is embedding]
    assert embedding.requires_grad and any("decoder" in name for name in names)
    assert not train(model, batch=dict(tokenizer("the cardiomyopathy", return_tensors="pt")))
    before = outputs(model)
    adapters.save_adapter(model, tmp_path / "adapter", "someone/base", vocabulary_extended=True)

    fresh, _ = load_model(str(tmp_path / "base"), "AutoModelForMaskedLM")
    with pytest.raises(CheckpointError, match="does not fit"):
        adapters.load_adapter(fresh, tmp_path / "adapter")
    fresh, _ = load_model(str(tmp_path / "base"), "AutoModelForMaskedLM")
    fresh.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    if new_head:  # else the random head was left frozen and unsaved on purpose
        assert torch.allclose(outputs(adapters.load_adapter(fresh, tmp_path / "adapter").eval()), before, atol=1e-6)
    merged = adapters.merge(model)
    assert merged.get_output_embeddings().weight is merged.get_input_embeddings().weight
    merged.save_pretrained(tmp_path / "merged")
    again, _ = load_model(str(tmp_path / "merged"), "AutoModelForMaskedLM")
    assert torch.allclose(outputs(again), before, atol=1e-5)


def test_frozen_new_words_are_saved_with_the_adapter(tmp_path):
    base, tokenizer = headed("bert"), tiny.tiny_tokenizer("bert")
    vocabulary.extend(base, tokenizer, ["cardiomyopathy"])
    model = adapters.apply(base, "lora", missing=["classifier.weight", "classifier.bias"])
    adapters.save_adapter(model, tmp_path / "with", "someone/base", vocabulary_extended=True)
    adapters.save_adapter(model, tmp_path / "without", "someone/base")
    rows = {
        name: [
            tensor.shape[0]
            for key, tensor in load_file(tmp_path / name / "adapter_model.safetensors").items()
            if "word_embeddings" in key
        ]
        for name in ("with", "without")
    }
    assert rows == {"with": [len(tokenizer)], "without": []}


def test_merge_checks_its_result(monkeypatch):
    model = adapters.apply(headed("bert"), "lora", missing=["classifier.weight", "classifier.bias"])
    train(model)
    original = type(model.base_model).merge_and_unload

    def careless(self, *args, **kwargs):
        merged = original(self, *args, **kwargs)
        with torch.no_grad():
            merged.classifier.bias += 0.05
        return merged

    monkeypatch.setattr(type(model.base_model), "merge_and_unload", careless)
    with pytest.raises(CheckpointError, match="merged model differs"):
        adapters.merge(model)


def test_merge_in_float32_keeps_small_updates():
    base = headed("bert").to(torch.bfloat16)
    model = adapters.apply(base, "lora", missing=["classifier.weight", "classifier.bias"])
    merged = adapters.merge(model)
    assert {p.dtype for p in merged.parameters()} == {torch.float32}


def test_what_cannot_be_merged_is_refused():
    config = upstream.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2, token_dim=tiny.HIDDEN)
    model = upstream.get_peft_model(headed("bert"), config)
    with pytest.raises(ConfigError, match="PROMPT_TUNING changes inputs"):
        adapters.merge(model)


def test_an_adapter_folder_holds_no_card_template_and_keeps_the_users_card(tmp_path):
    model = adapters.apply(headed("bert"), "lora", missing=["classifier.weight", "classifier.bias"])
    new = adapters.save_adapter(model, tmp_path / "new", "someone/base")
    assert sorted(path.name for path in new.iterdir()) == ["adapter_config.json", "adapter_model.safetensors"]
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "README.md").write_text("My card.\n", encoding="utf-8")
    own = adapters.save_adapter(model, tmp_path / "own", "someone/base")
    assert "My card." in (own / "README.md").read_text(encoding="utf-8")


def test_a_damaged_adapter_is_refused(tmp_path):
    from safetensors.torch import save_file

    base = headed("bert")
    model = adapters.apply(base, "lora", missing=["classifier.weight", "classifier.bias"])
    adapters.save_adapter(model, tmp_path, "someone/base")
    file = tmp_path / "adapter_model.safetensors"
    stored = load_file(file)
    gone = next(name for name in stored if "lora_B" in name)
    save_file({name: value for name, value in stored.items() if name != gone}, file)
    with pytest.raises(CheckpointError, match="1 tensors of the adapter .* did not arrive"):
        adapters.load_adapter(headed("bert"), tmp_path)


FRESH_PROCESS = """
import sys, torch, transformers, peft
base, adapter, merged, inputs, result = sys.argv[1:]
batch = torch.load(inputs, weights_only=True)
torch.manual_seed(987)
model = transformers.AutoModelForSequenceClassification.from_pretrained(base, num_labels=3)
model = peft.PeftModel.from_pretrained(model, adapter).eval()
plain = transformers.AutoModelForSequenceClassification.from_pretrained(merged).eval()
with torch.no_grad():
    torch.save({"adapter": model(**batch).logits, "merged": plain(**batch).logits}, result)
assert not any(name.startswith("hf_ssl") for name in sys.modules)
"""


def test_a_fresh_process_with_plain_libraries_gets_the_same_logits(tmp_path, tiny_checkpoint):
    """The pooler trap: an MLM checkpoint has none, PEFT would leave the random one frozen and unsaved (peft#2171)."""
    base = tiny_checkpoint("bert")
    model, report = load_model(str(base), "AutoModelForSequenceClassification", num_labels=3)
    assert any("pooler" in name for name in report.missing)
    model = adapters.apply(model, "lora", missing=report.missing, rank=4)
    assert not train(model)
    batch = structure.example_inputs(model)
    expected = outputs(model)
    commit = "0123456789abcdef0123456789abcdef01234567"
    adapters.save_adapter(model, tmp_path / "adapter", "someone/base", commit)
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (settings["base_model_name_or_path"], settings["revision"]) == ("someone/base", commit)
    adapters.merge(model).save_pretrained(tmp_path / "merged")
    torch.save(batch, tmp_path / "inputs.pt")
    paths = [base, tmp_path / "adapter", tmp_path / "merged", tmp_path / "inputs.pt", tmp_path / "result.pt"]
    finished = subprocess.run(
        [sys.executable, "-c", FRESH_PROCESS, *map(str, paths)], capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
    result = torch.load(tmp_path / "result.pt", weights_only=True)
    assert torch.allclose(result["adapter"], expected, atol=1e-6)
    assert torch.allclose(result["merged"], expected, atol=1e-6)
