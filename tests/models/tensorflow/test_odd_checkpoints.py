"""What people really have beside a released checkpoint: leftovers of training, heads, wrong settings, several files, other names."""

from __future__ import annotations

import dataclasses
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from tf_models import TEXT, archive, bundle_of, unpacked, values_of

from hf_ssl import import_tf
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.models.tensorflow.bundle import Bundle


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A checkpoint of google-research/bert with its settings and vocabulary."""
    return unpacked("bert_tf1", tmp_path / "source")


def written(folder: Path, change: Callable[[dict[str, np.ndarray]], None]) -> Path:
    """The folder, its checkpoint written again with other variables."""
    prefix = folder / "bert_model.ckpt"
    values = values_of(Bundle.open(prefix))
    change(values)
    bundle_of(values, prefix)
    return folder


def imported(folder: Path, **options: Any) -> dict[str, Any]:
    return import_tf(source=str(folder), output=str(folder.parent / "out"), **options).metrics


@pytest.mark.parametrize(
    "slots",
    [("Adam", "Adam_1"), ("RMSProp", "RMSProp_1"), ("Momentum",), ("Adagrad",), ("Ftrl", "Ftrl_1"), ("adam_m", "adam_v"),
     ("ExponentialMovingAverage",), ("AdamW/m",), ("my_own_optimizer",)],
)  # fmt: skip
def test_what_an_optimizer_keeps_below_a_variable_is_left_out(slots: tuple[str, ...], old: Path) -> None:
    def change(values: dict[str, np.ndarray]) -> None:
        for name in [name for name in values if name.startswith(("bert/", "cls/")) and not name.endswith("adam_m")]:
            values |= {f"{name}/{slot}": np.zeros_like(values[name]) for slot in slots}

    report = imported(written(old, change))
    assert report["used"] == 46 and len(report["left_out"]["state of the optimizer"]) >= 46 * len(slots)


def test_what_an_optimizer_of_keras_keeps_is_told_by_its_place() -> None:
    from hf_ssl.models.tensorflow.families.base import is_state

    names = {
        "word_embeddings/embeddings": "encoder/x",
        "AdamW/m/word_embeddings/embeddings": "optimizer/_variables/1/y",
    }
    assert [is_state(name, key, names) for name, key in names.items()] == [False, True]


@pytest.mark.parametrize("dtype, note", [("float16", None), ("float32", None), ("float64", "rounded to float32")])
def test_weights_of_other_precision_are_read_and_said(dtype: str, note: str | None, old: Path) -> None:
    def change(values: dict[str, np.ndarray]) -> None:
        for name, value in values.items():
            values[name] = value.astype(dtype) if value.dtype == np.float32 else value

    report = imported(written(old, change))
    assert report["different"] == 0 and any(note in told for told in report["notes"]) if note else not report["notes"]


def test_a_head_of_ones_own_is_left_out_when_asked(old: Path) -> None:
    written(old, lambda values: values.update({"loss/my_head/kernel": np.zeros((3, 4), "f4"), "flag": np.array(True)}))
    with pytest.raises(CheckpointError, match=r"loss/my_head/kernel.*--leave_out 'loss/my_head/\*'"):
        imported(old)
    with pytest.raises(ConfigError, match="no variable .* has such a name"):
        imported(old, leave_out=["classifier/*"])
    report = imported(old, leave_out=["loss/my_head/*"])
    assert report["left_out"]["as asked, by --leave_out"] == ["loss/my_head/kernel"] and report["used"] == 46
    assert "flag" in report["left_out"]["a count or a setting"] and report["variables"] == 50


def test_a_classifier_of_google_research_is_left_out_beside_the_heads_of_pre_training(old: Path) -> None:
    written(
        old,
        lambda values: values.update({"output_weights": np.zeros((3, 16), "f4"), "output_bias": np.zeros(3, "f4")}),
    )
    report = imported(old)
    assert report["architecture"] == "BertForPreTraining" and report["used"] == 46
    assert len(report["left_out"]["a classifier with labels of its own"]) == 2


def test_a_whole_part_is_left_out_when_asked(old: Path) -> None:
    assert imported(old, leave_out=["cls/*"])["architecture"] == "BertModel"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda values: values.pop("cls/predictions/output_bias"), "cls.predictions.bias"),
        (lambda values: values.pop("bert/embeddings/position_embeddings"), "position_embeddings"),
        (lambda values: values.update({"cls/predictions/output_weights": np.zeros((44, 16), "f4")}), "output_weights"),
        (lambda values: values.update({"bert/encoder/layer_99999999/attention/self/query/kernel": np.zeros((16, 16), "f4")}),
         "numbered 2"),
        (lambda values: values.update({"bert/encoder/layer_" + "9" * 5000 + "/attention/self/query/kernel": np.zeros((16, 16), "f4")}),
         "makes no configuration"),
        (lambda values: values.update({"bert/embeddings/position_embeddings": np.zeros((0, 16), "f4")}), "max_position_embeddings"),
        (lambda values: values.update({"bert/embeddings/LayerNorm/beta": np.zeros(17, "f4")}), "wants shape"),
        (lambda values: values.update({"bert/embeddings/LayerNorm/beta": np.full(16, np.inf, "f4")}), "NaN or infinity"),
        (lambda values: values.update({"copy/bert/embeddings/LayerNorm/beta": np.zeros(16, "f4")}), "both belong to"),
    ],
)  # fmt: skip
def test_a_checkpoint_that_is_not_whole_is_refused(change: Callable[[Any], None], message: str, old: Path) -> None:
    with pytest.raises(CheckpointError, match=message):
        imported(written(old, change))
    assert not (old.parent / "out").exists()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"hidden_size": 768}, "hidden_size 768.*16"),
        ({"num_hidden_layers": 12}, "num_hidden_layers 12.*2"),
        ({"vocab_size": 30522}, "vocab_size 30522"),
        ({"num_attention_heads": "many"}, "many"),
        ({"num_attention_heads": 0}, "0 heads"),
        ({"num_attention_heads": 3}, "--num_heads"),
        ({"hidden_act": "swishy"}, "swishy"),
        ({"hidden_dropout_prob": "x"}, "hidden_dropout_prob"),
        ({"hidden_dropout_prob": 7}, "7"),
    ],
)
def test_settings_of_another_model_are_refused(settings: dict[str, Any], message: str, old: Path) -> None:
    path = old / "bert_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    with pytest.raises(CheckpointError, match=message) as caught:
        imported(old)
    assert ".import-" not in str(caught.value)  # a folder that is gone by then


@pytest.mark.parametrize("content", ["[" * 100_000, "{", "[]", " " * 2**21])
def test_settings_that_cannot_be_read_are_named(content: str, old: Path) -> None:
    (old / "bert_config.json").write_text(content)
    with pytest.raises(CheckpointError, match="bert_config.json"):
        imported(old)


def test_a_vocabulary_is_cut_into_lines_as_the_program_did(old: Path) -> None:
    """Not at the separators of Unicode; the later of two equal pieces counts; what surrounds a piece does not."""
    path = old / "vocab.txt"
    pieces = path.read_text().splitlines()
    pieces[6], pieces[7], pieces[8] = "x\u2028y", "a\x85b", pieces[40]
    path.write_text("\r\n".join(pieces) + "\r\n", newline="")
    imported(old)
    vocabulary = transformers.AutoTokenizer.from_pretrained(old.parent / "out").get_vocab()
    assert vocabulary["x\u2028y"] == 6 and vocabulary["a\x85b"] == 7 and vocabulary[pieces[40]] == 40
    assert vocabulary[pieces[-1]] == len(pieces) - 1


def test_a_vocabulary_shorter_than_the_table_is_said(old: Path) -> None:
    path = old / "vocab.txt"
    path.write_text("\n".join(path.read_text().splitlines()[:30]))
    assert any("30 pieces" in note for note in imported(old)["notes"])


def test_of_several_vocabularies_one_has_to_be_named(old: Path) -> None:
    words = (old / "vocab.txt").read_text()
    (old / "vocab.txt").rename(old / "my_vocab.txt")
    (old / "old_vocab.txt").write_text(words.upper())
    with pytest.raises(CheckpointError, match=r"my_vocab\.txt, old_vocab\.txt.*vocab\.txt"):
        imported(old)
    (old / "vocab.txt").write_text(words)
    assert imported(old)["used"] == 46


def copied(folder: Path, name: str) -> None:
    for ending in ("index", "data-00000-of-00001"):
        shutil.copy(folder / f"bert_model.ckpt.{ending}", folder / f"{name}.{ending}")


def test_of_several_checkpoints_the_newest_is_taken_as_tensorflow_does(old: Path) -> None:
    copied(old, "ckpt-7")
    with pytest.raises(CheckpointError, match="2 checkpoints: bert_model.ckpt, ckpt-7"):
        imported(old)
    (old / "checkpoint").write_text(
        'model_checkpoint_path: "/somewhere/else/ckpt-7"\nall_model_checkpoint_paths: "bert_model.ckpt"\n'
    )
    assert any("ckpt-7 was taken" in note for note in imported(old)["notes"])


def test_a_state_file_that_names_what_is_gone_is_said(old: Path) -> None:
    (old / "checkpoint").write_text('model_checkpoint_path: "gone-9"\n')
    assert any("gone-9, which is not there" in note for note in imported(old)["notes"])
    (old / "bert_model.ckpt.index").unlink()
    with pytest.raises(CheckpointError, match=r"gone-9\.index is not there"):
        imported(old, overwrite=True)
    with pytest.raises(CheckpointError, match=r"bert_model\.ckpt\.index.* is absent"):
        import_tf(source=str(old / "bert_model.ckpt"), output=str(old.parent / "other"))


@pytest.mark.parametrize(
    "file", ["bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001", "bert_model.ckpt.meta"]
)
def test_any_file_of_a_checkpoint_means_the_checkpoint(file: str, old: Path) -> None:
    assert import_tf(source=str(old / file), output=str(old.parent / "out")).metrics["used"] == 46


def test_the_graph_of_a_saved_model_means_its_folder(tmp_path: Path) -> None:
    folder = unpacked("bert_tf2", tmp_path / "a folder [2] ünïcode")
    assert imported(folder)["used"] == 44
    assert import_tf(source=str(folder / "saved_model.pb"), output=str(tmp_path / "two")).metrics["used"] == 44


@pytest.mark.parametrize("name, hint", [("model.h5", "Keras"), ("model.keras", "model.export"), ("m.tflite", "TensorFlow Lite"),
                                        ("R50x1.npz", "timm/"), ("m.onnx", "ONNX")])  # fmt: skip
def test_files_of_other_programs_are_told_what_to_do_with(name: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_bytes(b"\x89HDF")
    for source in (tmp_path / "folder" / name, tmp_path / "folder"):
        with pytest.raises(CheckpointError, match=hint):
            import_tf(source=str(source), output=str(tmp_path / "out"))


def test_the_name_of_a_folder_refuses_nothing(old: Path) -> None:
    assert imported(old.rename(old.parent / "elmo"))["used"] == 46


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as content:
        for item in sorted(folder.rglob("*")):
            content.write(item, f"uncased_L-2/{item.relative_to(folder)}")
    return path


def test_a_zip_as_google_research_released_them_is_read(old: Path) -> None:
    report = import_tf(source=str(zipped(old, old.parent / "uncased_L-2.zip")), output=str(old.parent / "out")).metrics
    assert report["used"] == 46 and "`uncased_L-2`" in (old.parent / "out" / "README.md").read_text()


@pytest.mark.parametrize("kind", ["outside", "link", "bomb", "cut", "lie"])
def test_a_zip_is_not_trusted(kind: str, old: Path) -> None:
    path = zipped(old, old.parent / "model.zip")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as content:
        if kind == "outside":
            content.writestr("../../outside.txt", "x")
        if kind == "link":
            info = zipfile.ZipInfo("uncased_L-2/link")
            info.external_attr = 0o120777 << 16
            content.writestr(info, "/etc/passwd")
        if kind == "bomb":
            content.writestr("zeros", bytes(2**20))
            content.getinfo("zeros").file_size = 2**45
    data = bytearray(path.read_bytes())
    if kind == "cut":
        path.write_bytes(data[: len(data) // 2])
    if kind == "lie":
        data[len(data) // 3] ^= 255
        path.write_bytes(data)
    with pytest.raises(CheckpointError, match="cannot be unpacked" if kind != "cut" else "model.zip"):
        import_tf(source=str(path), output=str(old.parent / "out"))
    assert not (old.parent.parent / "outside.txt").exists()


def test_every_text_fixture_says_the_same_when_written_again(tmp_path: Path) -> None:
    """The writer of these tests is no other format than TensorFlow's: all that was read is read again."""
    for name in TEXT:
        folder = unpacked(name, tmp_path / name)
        prefix = next(iter(sorted(folder.rglob("*.index")))).with_suffix("")
        before = Bundle.open(prefix)
        kept = values_of(before)
        bundle_of(kept, tmp_path / f"{name}.again")
        again = Bundle.open(tmp_path / f"{name}.again")
        assert all(np.array_equal(again.tensor(key), value) for key, value in kept.items())
        for key in kept:
            ours, theirs = again.entries[key], before.entries[key]
            assert dataclasses.replace(ours, offset=0) == dataclasses.replace(theirs, offset=0)
    assert archive("bert_tf1").is_file()
