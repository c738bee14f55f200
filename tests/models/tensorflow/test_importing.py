"""Every family becomes the same model in transformers or timm: values, outputs, settings, words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from tf_models import PICTURES, TEXT, archive, expected, unpacked

from hf_ssl import import_tf
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models.loading import load_model
from hf_ssl.models.tensorflow.bundle import Bundle, Entry
from hf_ssl.models.tensorflow.sources import Source

# google-research/electra keeps no configuration beside its checkpoints, nor did the first format of TensorFlow Hub.
HEADS = {"electra_tf1": {"num_heads": 2}, "bert_hub1": {"num_heads": 2}}
CLASSES = {
    "bert_tf2": "BertForMaskedLM", "bert_tf1": "BertForPreTraining", "bert_hub1": "BertForPreTraining", "albert_tf2": "AlbertForMaskedLM",
    "albert_tf1": "AlbertForPreTraining", "electra_tf2": "ElectraModel", "electra_tf1": "ElectraForPreTraining",
    "simclr": "AutoModel", "bit": "AutoModel", "vit": "ViTModel",
}  # fmt: skip


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of all models, imported once."""
    folder = tmp_path_factory.mktemp("imported")
    for name in (*TEXT, *PICTURES):
        if name in PICTURES:
            pytest.importorskip("timm")
        import_tf(source=str(archive(name)), output=str(folder / name), license="apache-2.0", **HEADS.get(name, {}))
    return {name: folder / name for name in (*TEXT, *PICTURES)}


def answers(folder: Path, auto_class: str, name: str) -> dict[str, np.ndarray]:
    """What plain transformers answers to the inputs that TensorFlow was given."""
    model = getattr(transformers, auto_class).from_pretrained(folder).eval()
    given = expected(name)
    with torch.no_grad():
        if name in PICTURES:
            pixels = torch.from_numpy(given["images"]).permute(0, 3, 1, 2)
            mean = {"simclr": 0.0, "bit": 0.5, "vit": 0.0}[name]  # the last takes -1 … 1 as it is
            out = model(pixel_values=(pixels - mean) / (1 - mean))
        else:
            out = model(
                input_ids=torch.from_numpy(given["input_word_ids"]).long(),
                attention_mask=torch.from_numpy(given["input_mask"]).long(),
                token_type_ids=torch.from_numpy(given["input_type_ids"]).long(),
            )
    return {key: value.numpy() for key, value in out.items() if isinstance(value, torch.Tensor)}


def at_masked(logits: np.ndarray, name: str) -> np.ndarray:
    return np.take_along_axis(logits, expected(name)["masked_lm_positions"][..., None], axis=1)


def near(ours: np.ndarray, theirs: np.ndarray, most: float = 1e-5) -> bool:
    return ours.shape == theirs.shape and float(np.abs(ours - theirs).max()) <= most


@pytest.mark.parametrize("name", TEXT)
def test_hidden_states_and_pooler_are_tensorflows(name: str, imported: dict[str, Path]) -> None:
    ours, theirs = answers(imported[name], "AutoModel", name), expected(name)
    assert near(ours["last_hidden_state"], theirs["sequence_output"])
    if "electra" not in name:
        assert near(ours["pooler_output"], theirs["pooled_output"])


@pytest.mark.parametrize("name", ["bert_tf2", "bert_tf1", "bert_hub1", "albert_tf2", "albert_tf1"])
def test_predicted_words_are_tensorflows(name: str, imported: dict[str, Path]) -> None:
    ours = answers(imported[name], "AutoModelForMaskedLM", name)["logits"]
    assert near(at_masked(ours, name), expected(name)["mlm_logits"])


def test_heads_for_sentences_are_tensorflows(imported: dict[str, Path]) -> None:
    ours = answers(imported["bert_tf1"], "BertForPreTraining", "bert_tf1")["seq_relationship_logits"]
    assert near(ours, expected("bert_tf1")["next_sentence"])
    ours = answers(imported["albert_tf1"], "AlbertForPreTraining", "albert_tf1")["sop_logits"]
    assert near(ours, expected("albert_tf1")["sentence_order"])


def test_electra_has_a_discriminator_and_a_generator(imported: dict[str, Path], tmp_path: Path) -> None:
    theirs = expected("electra_tf1")
    assert near(answers(imported["electra_tf1"], "ElectraForPreTraining", "electra_tf1")["logits"], theirs["replaced"])
    import_tf(source=str(archive("electra_tf1")), output=str(tmp_path / "g"), part="generator", num_heads=2)
    assert near(answers(tmp_path / "g", "AutoModel", "electra_tf1")["last_hidden_state"], theirs["generator_output"])
    words = answers(tmp_path / "g", "AutoModelForMaskedLM", "electra_tf1")["logits"]
    assert near(at_masked(words, "electra_tf1"), theirs["mlm_logits"])


@pytest.mark.parametrize("name, output", [("simclr", "default"), ("bit", "features")])
def test_pooled_features_of_pictures_are_tensorflows(name: str, output: str, imported: dict[str, Path]) -> None:
    assert near(
        answers(imported[name], "AutoModel", name)["pooler_output"], expected(name)[output], 1e-4
    )  # BiT's 16 group normalizations amplify rounding


def test_patches_of_a_vision_transformer_are_tensorflows(imported: dict[str, Path]) -> None:
    assert near(answers(imported["vit"], "AutoModel", "vit")["last_hidden_state"], expected("vit")["sequence_output"])


@pytest.mark.parametrize("name", CLASSES)
def test_the_report_says_how_far_it_is_proved(name: str, imported: dict[str, Path]) -> None:
    report = json.loads((imported[name] / "import.json").read_text())
    left = sum(map(len, report["left_out"].values()))
    assert report["architecture"] == CLASSES[name]
    assert report["used"] + left == report["variables"] and report["compared"] == report["used"] > 20
    assert report["different"] == 0 and report["filled"][0] == report["filled"][1] > 20
    card = (imported[name] / "README.md").read_text()
    assert "license: apache-2.0" in card and "not compared with TensorFlow" in card and str(Path.cwd()) not in card
    assert json.loads((imported[name] / "hf_ssl.json").read_text())["base"]["id"].startswith("tensorflow:")


@pytest.mark.parametrize("name", [*TEXT, *PICTURES])
def test_the_folder_loads_with_every_tensor_of_the_backbone(name: str, imported: dict[str, Path]) -> None:
    _, report = load_model(str(imported[name]), "AutoModel")
    assert report.backbone_complete and report.license == "apache-2.0"


def test_settings_are_read_from_graph_names_and_shapes(imported: dict[str, Path]) -> None:
    def settings(name: str) -> dict[str, Any]:
        return json.loads((imported[name] / "config.json").read_text())

    bert, albert = settings("bert_tf2"), settings("albert_tf2")
    assert bert["hidden_act"] == albert["hidden_act"] == settings("bert_tf1")["hidden_act"] == "gelu_new"
    assert settings("electra_tf1")["hidden_act"] == "gelu"
    assert bert["layer_norm_eps"] == 1e-12 and bert["num_attention_heads"] == 2 and bert["pad_token_id"] == 0
    assert albert["num_hidden_layers"] == settings("albert_tf1")["num_hidden_layers"] == 3
    assert settings("vit")["hidden_act"] == "gelu" and settings("vit")["image_size"] == 32


@pytest.mark.parametrize("name", ["bert_tf2", "electra_tf2", "albert_tf2"])
def test_text_is_cut_as_the_original_tokenizers_cut_it(name: str, imported: dict[str, Path]) -> None:
    tokenizer, known = transformers.AutoTokenizer.from_pretrained(imported[name]), expected(name)
    for text, ids in zip(known["texts"], known["token_ids"], strict=True):
        assert tokenizer(str(text), add_special_tokens=False)["input_ids"] == [number for number in ids if number >= 0]
    assert tokenizer.mask_token_id == 4 and tokenizer.model_max_length == 24
    first, *_, last = tokenizer("the cat")["input_ids"]
    assert (first, last) == (tokenizer.cls_token_id, tokenizer.sep_token_id)


def test_a_folder_a_prefix_and_an_archive_are_the_same_model(imported: dict[str, Path], tmp_path: Path) -> None:
    unpacked("bert_tf1", tmp_path / "release" / "small")
    known = (imported["bert_tf1"] / "model.safetensors").read_bytes()
    places = ("release", "release/small", "release/small/bert_model.ckpt", "release/small/bert_model.ckpt.index")
    for number, place in enumerate(places):
        import_tf(source=str(tmp_path / place), output=str(tmp_path / str(number)))
        assert (tmp_path / str(number) / "model.safetensors").read_bytes() == known


def test_options_win_over_what_was_found(tmp_path: Path) -> None:
    import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "m"), do_lower_case=False, hidden_act="relu")
    assert json.loads((tmp_path / "m" / "config.json").read_text())["hidden_act"] == "relu"
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "m").do_lower_case is False


def test_heads_that_no_file_tells_are_assumed_aloud(tmp_path: Path) -> None:
    found = import_tf(source=str(archive("electra_tf1")), output=str(tmp_path / "m")).metrics
    assert any("--num_heads" in note for note in found["notes"])
    with pytest.raises(CheckpointError, match="divide"):
        import_tf(source=str(archive("electra_tf1")), output=str(tmp_path / "n"), num_heads=3)


def without(name: str, folder: Path, *files: str) -> str:
    unpacked(name, folder)
    for file in files:
        (folder / file).unlink()
    return str(folder)


@pytest.mark.parametrize(
    "name, files, message",
    [
        ("bert_tf2", ("assets/vocab.txt",), "vocab.txt"),
        ("albert_tf2", ("assets/30k-clean.model",), "SentencePiece"),
        ("albert_tf1", ("albert_config.json",), "num_layers"),
        ("bert_tf2", ("variables/variables.index",), "without variables"),
        ("bert_tf1", ("bert_model.ckpt.index",), "neither saved_model.pb"),
    ],
)
def test_what_is_absent_is_named(name: str, files: tuple[str, ...], message: str, tmp_path: Path) -> None:
    source = without(name, tmp_path / "source", *files)
    with pytest.raises(CheckpointError, match=message):
        import_tf(source=source, output=str(tmp_path / "out"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]  # nothing is left behind


@pytest.mark.parametrize("content", ["[PAD]\n[UNK]\n", "\n".join(f"w{n}" for n in range(99))])
def test_another_models_vocabulary_is_refused(content: str, tmp_path: Path) -> None:
    source = Path(without("bert_tf2", tmp_path / "source"))
    (source / "assets" / "vocab.txt").write_text(content)
    with pytest.raises(CheckpointError, match="vocabulary"):
        import_tf(source=str(source), output=str(tmp_path / "out"))


@pytest.mark.parametrize(
    "options, message",
    [
        ({}, "(?i)what is to be imported"),
        ({"source": "nowhere"}, "--output"),
        ({"source": "nowhere", "output": "OUT"}, "nowhere"),
        ({"source": "x", "output": "OUT", "famly": "bert"}, "Did you mean 'family'"),
        ({"source": "SOURCE", "output": "OUT", "family": "brt"}, "Did you mean 'bert'"),
        ({"source": "SOURCE", "output": "OUT", "family": "albert"}, "ALBERT"),
        ({"source": "SOURCE", "output": "OUT", "part": "generator"}, "--part"),
        ({"source": "SOURCE", "output": "OUT", "family": "no_such_module:X"}, "no_such_module"),
        ({"source": "SOURCE", "output": "SOURCE-FOLDER"}, "not empty"),
        ({"source": "SOURCE", "output": "SOURCE-FOLDER", "overwrite": True}, "nothing was deleted"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    folder = unpacked("bert_tf2", tmp_path / "source")
    places = {"SOURCE": str(folder), "OUT": str(tmp_path / "out"), "SOURCE-FOLDER": str(folder)}
    given = {key: places.get(value, value) if isinstance(value, str) else value for key, value in options.items()}
    with pytest.raises((CheckpointError, ConfigError), match=message):
        import_tf(**given)
    assert not (tmp_path / "out").exists() and (folder / "saved_model.pb").is_file()


def test_an_imported_model_is_replaced_only_when_asked(tmp_path: Path) -> None:
    for options in ({}, {"overwrite": True}):
        import_tf(source=str(archive("bert_tf1")), output=str(tmp_path / "out"), **options)
    with pytest.raises(ConfigError, match="--overwrite"):
        import_tf(source=str(archive("bert_tf1")), output=str(tmp_path / "out"))


def test_a_model_of_no_known_family_shows_its_variables(tmp_path: Path) -> None:
    """The real SavedModel of the package basic-pitch: 73 variables, a network for pitch."""
    from hf_ssl.demo.cache import package_folder

    folder = package_folder("basic_pitch", "saved_models", "icassp_2022", "nmp")
    if folder is None:
        pytest.skip("basic-pitch is not installed: make demo-data")
    bundle = Bundle.open(folder / "variables" / "variables")
    read = [bundle.tensor(key) for key in bundle]  # every checksum holds
    assert len(read) == 74 and sum(array.dtype == np.float32 for array in read) > 60
    with pytest.raises(CheckpointError, match=r"no known family.*conv2d_1/kernel.*--family") as caught:
        import_tf(source=str(folder), output=str(tmp_path / "out"))
    assert "73 variables" in str(caught.value)


@pytest.mark.parametrize(
    "variables, instead",
    [
        (["vggish/conv1/weights", "vggish/fc1/fc1_1/weights"], "ast-finetuned-audioset"),
        (["layer1/conv/kernel", "layer2/depthwise_conv/depthwise_kernel"], "ast-finetuned-audioset"),
        (["EncoderDNN/DNN/ResidualHidden_0/weights"], "all-MiniLM-L6-v2"),
        (["trill_module/conv/kernel"], "wavlm"),
    ],
)
def test_models_that_are_not_imported_name_another(variables: list[str], instead: str) -> None:
    from hf_ssl.models.tensorflow.twins import refusal_of

    refused = refusal_of("some-folder", variables)
    assert refused is not None and instead in refused.instead


OWN = '''
"""A family of somebody's own, in one file."""
from transformers import BertConfig
from hf_ssl.models.tensorflow.families.base import Family, Rule, LeftOut

class Tiny(Family):
    title = "a table of words"
    recognizes = ("word_embeddings/embeddings",)
    def rules(self):
        return [Rule("word_embeddings/embeddings", "embeddings.word_embeddings.weight"),
                Rule("position_embedding/embeddings", "embeddings.position_embeddings.weight"),
                Rule("type_embeddings/embeddings", "embeddings.token_type_embeddings.weight"),
                Rule("embeddings/layer_norm/gamma", "embeddings.LayerNorm.weight"),
                Rule("embeddings/layer_norm/beta", "embeddings.LayerNorm.bias")]
    def leaves_out(self):
        return [LeftOut(r"(transformer|pooler_transform|bert/cls)/.*", "not wanted")]
    def architecture(self):
        return "BertModel"
    def config(self):
        rows, width = self.shape("word_embeddings/embeddings")
        return BertConfig(vocab_size=rows, hidden_size=width, num_hidden_layers=0, num_attention_heads=2,
                          max_position_embeddings=24)
    def save_processor(self, folder):
        pass
'''


def test_a_family_of_ones_own_is_one_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_words.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    out = import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "out"), family="my_words:Tiny")
    assert out.metrics["family"] == "a table of words" and out.metrics["used"] == 5
    assert len(out.metrics["left_out"]["not wanted"]) == 39


def test_a_variable_that_no_rule_knows_stops_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_words.py").write_text(OWN.replace("|bert/cls", ""))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CheckpointError, match="bert/cls/predictions"):
        import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "out"), family="their_words:Tiny")


def test_a_network_that_is_not_filled_stops_the_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "half_words.py").write_text(OWN.replace("num_hidden_layers=0", "num_hidden_layers=1"))
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(CheckpointError, match="encoder.layer.0"):
        import_tf(source=str(archive("bert_tf2")), output=str(tmp_path / "out"), family="half_words:Tiny")
    assert not (tmp_path / "out").exists()


def of_shapes(shapes: dict[str, tuple[int, ...]]) -> Source:
    """A checkpoint of float32 variables of which only names and shapes are known."""
    bundle = Bundle(Path("x"), {name: Entry(dtype=1, shape=shape) for name, shape in shapes.items()})
    return Source(given="x", folder=Path(), bundle=bundle, names={name: name for name in shapes})


def test_simclr_of_tensorflow_2_is_told_by_the_order_of_its_layers() -> None:
    """Names of google-research/simclr/tf2, a synchronized normalization, and a head with a normalization of its own."""
    from hf_ssl.models.tensorflow.families.simclr import SimCLR

    widths = [
        (7, 3, 8),
        *[size for out in (32, 64, 64, 64) for size in ((1, 8, out), (1, 8, 8), (3, 8, 8), (1, 8, out))],
    ]
    shapes: dict[str, tuple[int, ...]] = {}
    for number, (size, given, made) in enumerate(widths):
        suffix = f"_{number}" if number else ""
        shapes[f"model/resnet/block_group/conv2d_fixed_padding{suffix}/conv2d{suffix}/kernel"] = (
            size,
            size,
            given,
            made,
        )
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"model/resnet/batch_norm_relu{suffix}/sync_batch_normalization{suffix}/{part}"] = (made,)
    shapes["model/projection_head/linear_layer/sync_batch_normalization_99/gamma"] = (8,)
    shapes["model/projection_head/linear_layer/dense/kernel"] = (64, 8)
    assert SimCLR.fits(shapes)
    family = SimCLR(of_shapes(dict(sorted(shapes.items()))))
    placement = family.place()
    keys = {item.variable.split("/")[-2]: item.key for item in placement.placed if item.variable.endswith("kernel")}
    assert keys["conv2d"] == "stem.conv.weight" and keys["conv2d_1"] == "stages.0.blocks.0.downsample.conv.weight"
    assert keys["conv2d_12"] == "stages.2.blocks.0.conv3.weight" and len(placement.left_out) == 2


def test_simclr_with_selective_kernels_is_refused() -> None:
    from hf_ssl.models.tensorflow.families.simclr import SimCLR

    shapes = {"base_model/conv2d/kernel": (3, 3, 3, 32), "base_model/conv2d_1/kernel": (3, 3, 32, 32),
              "base_model/batch_normalization/gamma": (32,), "base_model/batch_normalization/moving_mean": (32,)}  # fmt: skip
    with pytest.raises(CheckpointError, match="sk0"):
        SimCLR(of_shapes(shapes)).place()


@pytest.mark.parametrize(
    "name", ["variables/variables.index", "variables/variables.data-00000-of-00001", "saved_model.pb"]
)
def test_a_damaged_model_is_not_imported(name: str, tmp_path: Path) -> None:
    folder = unpacked("bert_tf2", tmp_path / "source")
    content = bytearray((folder / name).read_bytes())
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError):
        import_tf(source=str(folder), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("value, message", [(np.float32("nan"), "NaN"), (np.int32(1), "floating-point")])
def test_what_no_weight_can_be_is_refused(value: Any, message: str, tmp_path: Path) -> None:
    from types import SimpleNamespace

    from hf_ssl.models.tensorflow.families.base import SAME, Placed, Placement
    from hf_ssl.models.tensorflow.importing import write_weights

    source: Any = SimpleNamespace(given="x", values=lambda name: np.array([value]))
    family: Any = SimpleNamespace(added=dict)
    with pytest.raises(CheckpointError, match=message):
        write_weights(source, family, Placement([Placed("a", "b", SAME)]), tmp_path)


def test_a_model_stays_usable_when_its_source_goes_away(imported: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(imported["bert_tf2"], tmp_path / "moved")
    fill = transformers.pipeline("fill-mask", model=str(tmp_path / "moved"))
    assert len(fill("the [MASK] sat")) == 5
