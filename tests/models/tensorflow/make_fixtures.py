"""Write the small TensorFlow models that the tests read: random weights, real TensorFlow, expected outputs beside them.

    python -m venv tf && tf/bin/pip install tensorflow-cpu tf-keras scipy sentencepiece
    tf/bin/pip install --no-deps tf-models-official gin-config tensorflow-hub
    tf/bin/python tests/models/tensorflow/make_fixtures.py tests/models/tensorflow/fixtures
    tf/bin/python tests/models/tensorflow/make_fixtures.py bert-base --size base    (or tiny: a SavedModel of released size)

BERT, ALBERT and the second ELECTRA are exported by the code of the TensorFlow Model Garden that exported the models of
TensorFlow Hub (`official/nlp/tools/export_tfhub_lib.py`). The layers of the older checkpoints are written out here, with
the names that google-research/{bert,albert,electra,simclr} give their variables. Weights are drawn from a few levels, so
that the archives are small. Not a test: pytest collects `test_*.py` only.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import sys
import tarfile
import tempfile
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}

import numpy as np
import tensorflow as tf

sys.modules.setdefault("tensorflow_text", types.ModuleType("tensorflow_text"))  # only its preprocessing is not used
from official.legacy.bert import configs
from official.nlp.configs import encoders
from official.nlp.tools import export_tfhub_lib, tokenization

v1 = tf.compat.v1
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "aeinorst"),
         "the", "cat", "sat", "mat", "hub"]  # fmt: skip
VOCAB, WIDTH, HEADS, FEEDFORWARD, LAYERS, POSITIONS, EMBEDDING = len(WORDS), 16, 2, 24, 2, 24, 8
SENTENCES = ["the cat sat on the mat", "a hub of models", "self supervised learning", "cats and mats", "the end of it"]

TEXTS = [
    "The Café's cat — 猫 sat on 2 mats!",
    "  two   spaces\tand\u00a0more ``quoted'' ",
    "the hub_1 THE HUB",
    "naïve Ünïcode",
    "cats",
]


def tokenized(cut: Callable[[str], list[str]], number: Callable[[list[str]], list[int]]) -> dict[str, np.ndarray]:
    """Texts and their ids as the original tokenizers of TensorFlow's models have them, padded with -1."""
    ids = [number(cut(text)) for text in TEXTS]
    table = np.full((len(ids), max(map(len, ids))), -1, dtype=np.int32)
    for row, values in zip(table, ids, strict=True):
        row[: len(values)] = values
    return {"texts": np.array(TEXTS), "token_ids": table}


def word_pieces(path: Path, lower: bool) -> dict[str, np.ndarray]:
    cutter = tokenization.FullTokenizer(str(path), do_lower_case=lower)
    return tokenized(cutter.tokenize, cutter.convert_tokens_to_ids)


def sentence_pieces(path: Path) -> dict[str, np.ndarray]:
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    return tokenized(
        lambda text: tokenization.encode_pieces(model, tokenization.preprocess_text(text, lower=True), sample=False),
        lambda pieces: [model.piece_to_id(piece) for piece in pieces],
    )


def drawn(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Random weights of five levels; a scale is around 1, a variance is positive."""
    rng = np.random.default_rng([seed, *name.encode()])
    levels = rng.integers(-2, 3, size=shape).astype(np.float32)
    if name.endswith(("variance", "gamma", "scale")):
        return (1 + levels / 8).astype(np.float32)
    if len(shape) == 4:  # of a convolution; most are zero, for the size of the archive
        kept = np.where(rng.random(shape) > 0.93, np.sign(levels), 0)
        return (kept * 16 / np.sqrt(np.prod(shape[:-1])) / (4 if seed == 4 else 1)).astype(np.float32)
    return levels * np.float32(0.125)


def batch(positions: int = 4) -> dict[str, np.ndarray]:
    """Two rows of ids, the second with two paddings and a second segment."""
    rng = np.random.default_rng(7)
    ids = rng.integers(5, 30, size=(2, 9)).astype(np.int32)
    ids[:, 0], ids[:, -1], ids[1, -2:] = 2, 3, 0
    mask = (ids > 0).astype(np.int32)
    types_ = np.zeros_like(ids)
    types_[1, 4:7] = 1
    masked = np.sort(rng.permutation(np.arange(1, 7))[:positions])[None].repeat(2, 0).astype(np.int32)
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types_, "masked_lm_positions": masked}


def picture(side: int = 64) -> np.ndarray:
    """One picture, [1, side, side, 3] in 0 … 1."""
    return np.random.default_rng(3).integers(0, 5, size=(1, side, side, 3)).astype(np.float32) / 4


def sentencepiece_model(folder: Path) -> Path:
    """A unigram vocabulary as ALBERT's: `<pad>`, `<unk>`, `[CLS]`, `[SEP]`, `[MASK]` first."""
    import sentencepiece

    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 20), model_writer=content, vocab_size=VOCAB, pad_id=0, unk_id=1, bos_id=-1,
        eos_id=-1, pad_piece="<pad>", user_defined_symbols=[], control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2, model_type="unigram",
    )  # fmt: skip
    path = folder / "30k-clean.model"
    path.write_bytes(content.getvalue())
    return path


def vocabulary(folder: Path) -> Path:
    path = folder / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return path


def exported(folder: Path, kind: str) -> dict[str, np.ndarray]:
    """BERT, ELECTRA (a BERT with narrower embeddings) or ALBERT as TensorFlow Hub has them, with a head for masked words."""
    aside = Path(tempfile.mkdtemp())
    shared = {
        "vocab_size": VOCAB,
        "hidden_size": WIDTH,
        "intermediate_size": FEEDFORWARD,
        "num_attention_heads": HEADS,
    }
    if kind == "albert":
        config = encoders.EncoderConfig(type="albert")
        pieces = sentencepiece_model(aside)
        size = len(tokens_of(pieces))
        config.albert.override({
            **{**shared, "vocab_size": size}, "embedding_width": EMBEDDING, "num_layers": 3, "hidden_activation": "gelu",
            "max_position_embeddings": POSITIONS, "type_vocab_size": 2,
        })  # fmt: skip
        core, pretrainer = export_tfhub_lib._create_model(encoder_config=config, with_mlm=True)
        core.sp_model_file = tf.saved_model.Asset(str(pieces))
        cut = sentence_pieces(pieces)
    else:
        config = configs.BertConfig(
            **shared, num_hidden_layers=LAYERS, max_position_embeddings=POSITIONS, type_vocab_size=2,
            embedding_size=EMBEDDING if kind == "electra" else None,
        )  # fmt: skip
        with_mlm = kind == "bert"
        core, pretrainer = export_tfhub_lib._create_model(bert_config=config, with_mlm=with_mlm)
        core.vocab_file = tf.saved_model.Asset(str(vocabulary(aside)))
        cut = word_pieces(vocabulary(aside), lower=kind == "bert")
        core.do_lower_case = tf.Variable(kind == "bert", trainable=False)
    for variable in pretrainer.variables:
        variable.assign(drawn(variable.name.removesuffix(":0"), tuple(variable.shape), seed=1))
    inputs = batch()
    encoded = {name: tf.constant(inputs[name]) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    names = {name: tf.TensorSpec((None, None), tf.int32, name=name) for name in encoded}
    signatures = {"serving_default": tf.function(lambda given: drop_lists(core(given)), input_signature=[names])}
    if hasattr(core, "mlm"):  # on the Hub it is reached as a part of the object; its traces would take 120 kB here
        more = {"masked_lm_positions": tf.TensorSpec((None, None), tf.int32, name="masked_lm_positions")}
        signatures["mlm"] = tf.function(lambda given: drop_lists(core.mlm(given)), input_signature=[{**names, **more}])
    core.save(str(folder), include_optimizer=False, save_format="tf", save_traces=False, signatures=signatures)
    outputs = core(encoded)
    found = {"sequence_output": outputs["sequence_output"].numpy(), "pooled_output": outputs["pooled_output"].numpy()}
    if hasattr(core, "mlm"):
        found["mlm_logits"] = core.mlm({**encoded, "masked_lm_positions": tf.constant(inputs["masked_lm_positions"])})[
            "mlm_logits"
        ].numpy()
    return {**inputs, **found, **cut}


def drop_lists(outputs: dict[str, Any]) -> dict[str, Any]:
    """A signature gives tensors by name; the outputs of every layer are a list."""
    return {name: value for name, value in outputs.items() if not isinstance(value, list)}


def tokens_of(pieces: Path) -> list[str]:
    import sentencepiece

    model = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    return [model.id_to_piece(number) for number in range(model.get_piece_size())]


class Net:
    """Variables of an old-style graph, made by name as `tf.get_variable` does, with the drawn values."""

    def __init__(self, seed: int) -> None:
        self.seed, self.made = seed, {}

    def __call__(self, name: str, *shape: int) -> Any:
        if name not in self.made:
            value = drawn(name, shape, self.seed)
            self.made[name] = v1.get_variable(name, initializer=tf.constant(value), use_resource=False)
        return self.made[name]

    def dense(self, x: Any, name: str, width: int) -> Any:
        return tf.tensordot(x, self(f"{name}/kernel", x.shape[-1], width), 1) + self(f"{name}/bias", width)

    def norm(self, x: Any, name: str) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        width = x.shape[-1]
        return (x - mean) * tf.math.rsqrt(variance + 1e-12) * self(f"{name}/gamma", width) + self(
            f"{name}/beta", width
        )

    def attention(self, x: Any, mask: Any, name: str, heads: int) -> Any:
        rows, words, width = tf.shape(x)[0], tf.shape(x)[1], x.shape[-1]
        query, key, value = (
            tf.transpose(
                tf.reshape(self.dense(x, f"{name}/{part}", width), (rows, words, heads, width // heads)), (0, 2, 1, 3)
            )
            for part in ("query", "key", "value")
        )
        scores = (
            tf.matmul(query, key, transpose_b=True) / np.sqrt(width // heads) + (1 - mask[:, None, None]) * -10000.0
        )
        return tf.reshape(tf.transpose(tf.matmul(tf.nn.softmax(scores), value), (0, 2, 1, 3)), (rows, words, width))

    def block(self, x: Any, mask: Any, name: str, activation: Callable[[Any], Any], heads: int, width: int) -> Any:
        """A layer of google-research/bert and /electra."""
        mixed = self.dense(
            self.attention(x, mask, f"{name}/attention/self", heads), f"{name}/attention/output/dense", width
        )
        x = self.norm(x + mixed, f"{name}/attention/output/LayerNorm")
        wide = activation(self.dense(x, f"{name}/intermediate/dense", FEEDFORWARD))
        return self.norm(x + self.dense(wide, f"{name}/output/dense", width), f"{name}/output/LayerNorm")

    def shared_block(self, x: Any, mask: Any, name: str, activation: Callable[[Any], Any]) -> Any:
        """The one layer of google-research/albert."""
        mixed = self.dense(
            self.attention(x, mask, f"{name}/attention_1/self", HEADS), f"{name}/attention_1/output/dense", WIDTH
        )
        x = self.norm(x + mixed, f"{name}/LayerNorm")
        wide = activation(self.dense(x, f"{name}/ffn_1/intermediate/dense", FEEDFORWARD))
        return self.norm(x + self.dense(wide, f"{name}/ffn_1/intermediate/output/dense", WIDTH), f"{name}/LayerNorm_1")

    def embedded(self, inputs: dict[str, np.ndarray], name: str, width: int, size: int = VOCAB) -> Any:
        words = tf.gather(self(f"{name}/word_embeddings", size, width), inputs["input_word_ids"])
        kinds = tf.gather(self(f"{name}/token_type_embeddings", 2, width), inputs["input_type_ids"])
        places = self(f"{name}/position_embeddings", POSITIONS, width)[: tf.shape(inputs["input_word_ids"])[1]]
        return self.norm(words + kinds + places, f"{name}/LayerNorm")

    def masked_words(self, x: Any, inputs: dict[str, np.ndarray], name: str, width: int, table: Any, bias: str,
                     activation: Callable[[Any], Any], split: str = "") -> Any:  # fmt: skip
        at = tf.gather(x, inputs["masked_lm_positions"], batch_dims=1)
        norm = f"{name}/LayerNorm" if not split else f"{split}/LayerNorm"
        at = self.norm(activation(self.dense(at, f"{name}/dense" if not split else f"{split}/dense", width)), norm)
        return tf.einsum("bpw,vw->bpv", at, table) + self(bias, table.shape[0])


def tanh_gelu(x: Any) -> Any:
    return tf.nn.gelu(x, approximate=True)


def exact_gelu(x: Any) -> Any:
    return tf.nn.gelu(x, approximate=False)


def checkpoint(folder: Path, name: str, build: Callable[[Net], dict[str, Any]], seed: int) -> dict[str, np.ndarray]:
    """Build a graph, save its variables the old way, with an optimizer's leftovers, and return its outputs."""
    with tf.Graph().as_default(), v1.Session() as session:
        net = Net(seed)
        outputs = build(net)
        first = next(iter(net.made))
        v1.get_variable("global_step", initializer=tf.constant(12, tf.int64), use_resource=False)
        v1.get_variable(f"{first}/adam_m", initializer=tf.zeros_like(net.made[first]), use_resource=False)
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / name), write_meta_graph=False, write_state=False)
        return dict(session.run(outputs))


def bert(net: Net, inputs: dict[str, Any] | None = None) -> dict[str, Any]:
    inputs = batch() if inputs is None else inputs
    x, mask = net.embedded(inputs, "bert/embeddings", WIDTH), tf.cast(inputs["input_mask"], tf.float32)
    for layer in range(LAYERS):
        x = net.block(x, mask, f"bert/encoder/layer_{layer}", tanh_gelu, HEADS, WIDTH)
    pooled = tf.tanh(net.dense(x[:, 0], "bert/pooler/dense", WIDTH))
    logits = net.masked_words(x, inputs, "cls/predictions/transform", WIDTH, net.made["bert/embeddings/word_embeddings"],
                              "cls/predictions/output_bias", tanh_gelu)  # fmt: skip
    next_ = tf.matmul(pooled, net("cls/seq_relationship/output_weights", 2, WIDTH), transpose_b=True)
    next_ += net("cls/seq_relationship/output_bias", 2)
    return {"sequence_output": x, "pooled_output": pooled, "mlm_logits": logits, "next_sentence": next_}


def hub_module(folder: Path) -> dict[str, np.ndarray]:
    """A module of TensorFlow Hub's first format: BERT with the signatures `tokens` and `mlm`, and no tag."""
    names = {"input_ids": "input_word_ids", "input_mask": "input_mask", "segment_ids": "input_type_ids"}
    given = batch()
    with tf.Graph().as_default(), v1.Session() as session:
        fed = {theirs: v1.placeholder(tf.int32, (None, None), name=theirs) for theirs in (*names, "mlm_positions")}
        ours = {mine: fed[theirs] for theirs, mine in names.items()} | {"masked_lm_positions": fed["mlm_positions"]}
        outputs = bert(Net(9), ours)
        tokens = {name: outputs[name] for name in ("sequence_output", "pooled_output")}
        signature = v1.saved_model.predict_signature_def
        asset = tf.constant(str(vocabulary(folder)), name="vocab_file")
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, asset)
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder / "module"))
        builder.add_meta_graph_and_variables(
            session, [], assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
            signature_def_map={"tokens": signature({name: fed[name] for name in names}, tokens),
                               "mlm": signature(fed, {**tokens, "mlm_logits": outputs["mlm_logits"]})},
        )  # fmt: skip
        builder.save()
        values = {fed[theirs]: given[mine] for theirs, mine in names.items()}
        found = session.run(outputs, {**values, fed["mlm_positions"]: given["masked_lm_positions"]})
    (folder / "vocab.txt").unlink()
    (folder / "module" / "tfhub_module.pb").write_bytes(b"\x08\x03")
    return {**given, **{name: found[name] for name in (*tokens, "mlm_logits")}}


def albert(net: Net, size: int) -> dict[str, Any]:
    inputs = batch()
    x, mask = net.embedded(inputs, "bert/embeddings", EMBEDDING, size), inputs["input_mask"].astype(np.float32)
    x = net.dense(x, "bert/encoder/embedding_hidden_mapping_in", WIDTH)
    for _ in range(3):
        x = net.shared_block(x, mask, "bert/encoder/transformer/group_0/inner_group_0", tanh_gelu)
    pooled = tf.tanh(net.dense(x[:, 0], "bert/pooler/dense", WIDTH))
    logits = net.masked_words(x, inputs, "cls/predictions/transform", EMBEDDING, net.made["bert/embeddings/word_embeddings"],
                              "cls/predictions/output_bias", tanh_gelu)  # fmt: skip
    order = tf.matmul(pooled, net("cls/seq_relationship/output_weights", 2, WIDTH), transpose_b=True)
    order += net("cls/seq_relationship/output_bias", 2)
    return {"sequence_output": x, "pooled_output": pooled, "mlm_logits": logits, "sentence_order": order}


def electra(net: Net) -> dict[str, Any]:
    inputs = batch()
    mask, found = inputs["input_mask"].astype(np.float32), {}
    for scope, width in (("electra", WIDTH), ("generator", 8)):
        x = net.embedded(inputs, "electra/embeddings", EMBEDDING)
        if width != EMBEDDING:  # as in google-research/electra: no projection where the widths are the same
            x = net.dense(x, f"{scope}/embeddings_project", width)
        for layer in range(LAYERS):
            x = net.block(x, mask, f"{scope}/encoder/layer_{layer}", exact_gelu, HEADS, width)
        found[scope] = x
    table = net.made["electra/embeddings/word_embeddings"]
    logits = net.masked_words(found["generator"], inputs, "", EMBEDDING, table, "generator_lm_head/bias", exact_gelu,
                              split="generator_predictions")  # fmt: skip
    inner = exact_gelu(net.dense(found["electra"], "discriminator_predictions/dense", WIDTH))
    replaced = net.dense(inner, "discriminator_predictions/dense_1", 1)[..., 0]
    return {
        "sequence_output": found["electra"],
        "generator_output": found["generator"],
        "mlm_logits": logits,
        "replaced": replaced,
    }


def padded(x: Any, size: int) -> Any:
    return tf.pad(x, [[0, 0], [size, size], [size, size], [0, 0]])


class Residual:
    """google-research/simclr's ResNet in test mode: its variables are numbered in the order they are made."""

    def __init__(self, net: Net, scope: str) -> None:
        self.net, self.scope, self.count = net, scope, [0, 0]

    def name(self, kind: int) -> str:
        number = self.count[kind]
        self.count[kind] += 1
        return f"{self.scope}/{('conv2d', 'batch_normalization')[kind]}" + (f"_{number}" if number else "")

    def conv(self, x: Any, width: int, size: int, stride: int) -> Any:
        kernel = self.net(f"{self.name(0)}/kernel", size, size, x.shape[-1], width)
        x = padded(x, (size - 1) // 2) if stride > 1 else x
        return tf.nn.conv2d(x, kernel, stride, "VALID" if stride > 1 else "SAME")

    def norm(self, x: Any, relu: bool = True) -> Any:
        name, width = self.name(1), x.shape[-1]
        mean, variance = self.net(f"{name}/moving_mean", width), self.net(f"{name}/moving_variance", width)
        x = (x - mean) * tf.math.rsqrt(variance + 1e-5) * self.net(f"{name}/gamma", width) + self.net(
            f"{name}/beta", width
        )
        return tf.nn.relu(x) if relu else x

    def block(self, x: Any, width: int, stride: int, project: bool) -> Any:
        short = self.norm(self.conv(x, width, 1, stride), relu=False) if project else x
        x = self.norm(self.conv(x, width // 4, 1, 1))
        x = self.norm(self.conv(x, width // 4, 3, stride))
        return tf.nn.relu(self.norm(self.conv(x, width, 1, 1), relu=False) + short)

    def __call__(self, x: Any, stem: int, widths: tuple[int, ...], depths: tuple[int, ...]) -> Any:
        x = self.norm(self.conv(x, stem, 7, 2))
        x = tf.nn.max_pool2d(x, 3, 2, "SAME")
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for number in range(depth):
                x = self.block(x, width, 2 if stage and not number else 1, number == 0)
        return tf.reduce_mean(x, [1, 2])


def simclr(folder: Path) -> dict[str, np.ndarray]:
    """A TensorFlow 1 SavedModel with the names of google-research/simclr: backbone, both heads."""
    image = picture()
    with tf.Graph().as_default(), v1.Session() as session:
        net = Net(4)
        x = v1.placeholder(tf.float32, (None, None, None, 3), name="images")
        features = Residual(net, "base_model")(x, 8, (32, 32, 64, 64), (2, 1, 1, 1))
        head = tf.matmul(features, net("head_contrastive/nl_0/dense/kernel", 64, 8))
        logits = net.dense(features, "head_supervised/linear_layer/dense", 5)
        outputs = {"default": features, "final_avg_pool": features, "proj": head, "logits_sup": logits}
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"images": x}, outputs)
        found = session.run(features, {x: image})
    return {"images": image, "default": found}


class Named(tf.Module):
    """Variables kept in a dictionary: what is saved are their names, as with the models that came from JAX."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.kept, self.seed = {}, seed

    def get(self, name: str, *shape: int) -> Any:
        if name not in self.kept:
            self.kept[name] = tf.Variable(drawn(name, shape, self.seed), name=name)
        return self.kept[name]


def standardized(net: Named, name: str, x: Any, width: int, size: int, stride: int) -> Any:
    kernel = net.get(f"{name}/standardized_conv2d/kernel", size, size, x.shape[-1], width)
    mean, variance = tf.nn.moments(kernel, [0, 1, 2], keepdims=True)
    return tf.nn.conv2d(padded(x, (size - 1) // 2), (kernel - mean) / tf.sqrt(variance + 1e-10), stride, "VALID")


def grouped(net: Named, name: str, x: Any) -> Any:
    width = x.shape[-1]
    shape = tf.shape(x)
    parts = tf.reshape(x, tf.concat([shape[:-1], [32, width // 32]], 0))
    mean, variance = tf.nn.moments(parts, [1, 2, 4], keepdims=True)
    x = tf.reshape((parts - mean) * tf.math.rsqrt(variance + 1e-5), shape)
    return tf.nn.relu(x * net.get(f"{name}/group_norm/gamma", width) + net.get(f"{name}/group_norm/beta", width))


def bit(folder: Path) -> dict[str, np.ndarray]:
    """BiT with the names of google-research/big_transfer, narrow; a checkpoint alone, for its graph would take 100 kB."""
    net, image = Named(5), picture()

    def forward(images: Any) -> Any:
        x = standardized(net, "resnet/root_block", images * 2 - 1, 32, 7, 2)
        x = tf.nn.max_pool2d(padded(x, 1), 3, 2, "VALID")
        for block, units in enumerate((3, 4, 6, 3)):
            for unit in range(units):
                name, stride = f"resnet/block{block + 1}/unit{unit + 1:02d}", 2 if block and not unit else 1
                before = grouped(net, f"{name}/a", x)
                short = x if unit else standardized(net, f"{name}/a/proj", before, 128, 1, stride)
                x = standardized(net, f"{name}/a", before, 32, 1, 1)
                x = standardized(net, f"{name}/b", grouped(net, f"{name}/b", x), 32, 3, stride)
                x = short + standardized(net, f"{name}/c", grouped(net, f"{name}/c", x), 128, 1, 1)
        return tf.reduce_mean(grouped(net, "resnet", x), [1, 2])

    features = forward(tf.constant(image)).numpy()
    net.get("resnet/head/conv2d/kernel", 1, 1, 128, 6), net.get("resnet/head/conv2d/bias", 6)
    if os.environ.get("WITH_GRAPH"):  # for measuring, not for the repository
        signature = [tf.TensorSpec((None, None, None, 3), tf.float32, name="inputs")]
        net.forward = tf.function(lambda inputs: {"features": forward(inputs)}, input_signature=signature)
        tf.saved_model.save(net, str(folder), signatures=net.forward)
    else:
        tf.train.Checkpoint(net=net).write(str(folder / "bit"))
    return {"images": image, "features": features}


def vit(folder: Path) -> dict[str, np.ndarray]:
    """A vision transformer with the names of google-research/vision_transformer."""
    net, image, patch = Named(6), picture(32), 8

    def norm(x: Any, name: str) -> Any:
        mean, variance = tf.nn.moments(x, -1, keepdims=True)
        width = x.shape[-1]
        return (x - mean) * tf.math.rsqrt(variance + 1e-6) * net.get(f"{name}/scale", width) + net.get(
            f"{name}/bias", width
        )

    def forward(images: Any) -> dict[str, Any]:
        kernel = net.get("embedding/kernel", patch, patch, 3, WIDTH)
        x = tf.nn.conv2d(images, kernel, patch, "VALID") + net.get("embedding/bias", WIDTH)
        x = tf.reshape(x, (-1, 16, WIDTH))
        first = tf.repeat(net.get("cls", 1, 1, WIDTH), tf.shape(x)[0], 0)
        x = tf.concat([first, x], 1) + net.get("Transformer/posembed_input/pos_embedding", 1, 17, WIDTH)
        for layer in range(LAYERS):
            name = f"Transformer/encoderblock_{layer}"
            y = norm(x, f"{name}/LayerNorm_0")
            parts = [
                tf.einsum(
                    "btd,dhk->bhtk",
                    y,
                    net.get(f"{name}/MultiHeadDotProductAttention_1/{part}/kernel", WIDTH, HEADS, 8),
                )
                + net.get(f"{name}/MultiHeadDotProductAttention_1/{part}/bias", HEADS, 8)[None, :, None]
                for part in ("query", "key", "value")
            ]
            weights = tf.nn.softmax(tf.matmul(parts[0], parts[1], transpose_b=True) / np.sqrt(8).astype(np.float32))
            out = net.get(f"{name}/MultiHeadDotProductAttention_1/out/kernel", HEADS, 8, WIDTH)
            x = x + tf.einsum("bhtk,hkd->btd", tf.matmul(weights, parts[2]), out)
            x = x + net.get(f"{name}/MultiHeadDotProductAttention_1/out/bias", WIDTH)
            y = norm(x, f"{name}/LayerNorm_2")
            y = tf.tensordot(y, net.get(f"{name}/MlpBlock_3/Dense_0/kernel", WIDTH, FEEDFORWARD), 1)
            y = exact_gelu(y + net.get(f"{name}/MlpBlock_3/Dense_0/bias", FEEDFORWARD))
            y = tf.tensordot(y, net.get(f"{name}/MlpBlock_3/Dense_1/kernel", FEEDFORWARD, WIDTH), 1)
            x = x + y + net.get(f"{name}/MlpBlock_3/Dense_1/bias", WIDTH)
        x = norm(x, "Transformer/encoder_norm")
        logits = tf.matmul(x[:, 0], net.get("head/kernel", WIDTH, 5)) + net.get("head/bias", 5)
        return {"sequence_output": x, "logits": logits}

    forward(tf.constant(image))
    net.forward = tf.function(forward, input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.float32, name="inputs")])
    tf.saved_model.save(net, str(folder), signatures=net.forward)
    return {"images": image, "sequence_output": net.forward(tf.constant(image))["sequence_output"].numpy()}


def kinds(folder: Path) -> dict[str, np.ndarray]:
    """Every type of value that can be saved; a variable in pieces; two data files."""
    rng = np.random.default_rng(0)
    values: dict[str, Any] = {}
    for name in ("bfloat16", "float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
                 "uint64", "complex64", "complex128"):  # fmt: skip
        numbers = rng.standard_normal((3, 5)) * 10
        values[name] = tf.cast(tf.constant(np.abs(numbers) if name.startswith("u") else numbers), getattr(tf, name))
    values["bool"] = tf.constant(rng.random((3, 5)) > 0.5)
    values["string"] = tf.constant([[b"a", b"\xff\x00"], [b"", b"long" * 100]])
    values["scalar"], values["empty"] = tf.constant(1.5), tf.zeros((0, 4))
    module = tf.Module()
    for name, value in values.items():
        setattr(module, f"v_{name}", tf.Variable(value, name=f"v_{name}"))
    tf.train.Checkpoint(kinds=module).write(str(folder / "kinds"))
    with tf.Graph().as_default(), v1.Session(config=v1.ConfigProto(device_count={"CPU": 2})) as session:
        cut = v1.fixed_size_partitioner
        made = []
        for device, (name, shape, parts) in enumerate(
            [("scope/rows", (70, 3), cut(3)), ("scope/columns", (2, 300), cut(2, axis=1)), ("plain", (3, 4), None)]
        ):
            with tf.device(f"/cpu:{device % 2}"):
                made.append(v1.get_variable(name, shape, partitioner=parts, use_resource=False,
                                            initializer=v1.random_normal_initializer(seed=device)))  # fmt: skip
        session.run(v1.global_variables_initializer())
        v1.train.Saver(sharded=True).save(session, str(folder / "parts"), write_meta_graph=False, write_state=False)
        whole = session.run([tf.convert_to_tensor(variable) for variable in made])
    as_numpy = {
        f"kinds/v_{name}": value.numpy().astype(np.float32) if name == "bfloat16" else value.numpy()
        for name, value in values.items()
        if name != "string"
    }
    return {**as_numpy, "scope/rows": whole[0], "scope/columns": whole[1], "plain": whole[2]}


def pack(folder: Path, target: Path) -> None:
    """A `.tar.gz` that is the same whenever its content is the same."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.name not in ("fingerprint.pb", "checkpoint", "keras_metadata.pb"):
                member = archive.gettarinfo(path, arcname=str(path.relative_to(folder)))
                member.mtime = member.uid = member.gid = 0
                member.uname = member.gname = ""
                with path.open("rb") as file:
                    archive.addfile(member, file)
    with gzip.GzipFile(target, "wb", 9, mtime=0) as file:
        file.write(content.getvalue())


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    settings = {"hidden_size": WIDTH, "intermediate_size": FEEDFORWARD, "num_attention_heads": HEADS, "hidden_act": "gelu",
                "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "initializer_range": 0.02,
                "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}  # fmt: skip
    for name in (
        "bert_tf2",
        "albert_tf2",
        "electra_tf2",
        "bert_tf1",
        "albert_tf1",
        "electra_tf1",
        "bert_hub1",
        "simclr",
        "bit",
        "vit",
        "kinds",
    ):
        folder = Path(tempfile.mkdtemp())
        if name.endswith("_tf2"):
            expected = exported(folder, name.removesuffix("_tf2"))
        elif name == "bert_tf1":
            vocabulary(folder)
            (folder / "bert_config.json").write_text(
                json.dumps({**settings, "vocab_size": VOCAB, "num_hidden_layers": LAYERS})
            )
            expected = batch() | checkpoint(folder, "bert_model.ckpt", bert, seed=2)
        elif name == "albert_tf1":
            size = len(tokens_of(sentencepiece_model(folder)))
            described = {**settings, "hidden_act": "gelu_new", "vocab_size": size, "num_hidden_layers": 3,
                         "embedding_size": EMBEDDING, "num_hidden_groups": 1, "inner_group_num": 1}  # fmt: skip
            (folder / "albert_config.json").write_text(json.dumps(described))
            expected = batch() | checkpoint(folder, "model.ckpt-best", lambda net, n=size: albert(net, n), seed=3)
        elif name == "electra_tf1":
            vocabulary(folder)
            expected = batch() | checkpoint(folder, "electra_small", electra, seed=8)
        else:
            expected = {"bert_hub1": hub_module, "simclr": simclr, "bit": bit, "vit": vit, "kinds": kinds}[name](
                folder
            )
        pack(folder, target / f"{name}.tar.gz")
        np.savez_compressed(target / f"{name}.npz", **expected)
        shutil.rmtree(folder)
        print(
            f"{name:12} {(target / f'{name}.tar.gz').stat().st_size:>8,} {(target / f'{name}.npz').stat().st_size:>8,}"
        )
    print(f"{'in all':12} {sum(path.stat().st_size for path in target.iterdir()):>8,}")


def released_size(target: Path, size: str) -> None:
    """A BERT with its head for masked words, of a released size, exported exactly as TensorFlow Hub's: for the benchmark."""
    width, layers, heads = {"tiny": (128, 2, 2), "base": (768, 12, 12)}[size]
    config = configs.BertConfig(
        vocab_size=30522, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width,
        max_position_embeddings=512, type_vocab_size=2,
    )  # fmt: skip
    core, pretrainer = export_tfhub_lib._create_model(bert_config=config, with_mlm=True)
    rng = np.random.default_rng(0)
    for variable in pretrainer.variables:
        drawn_ = rng.standard_normal(variable.shape).astype(np.float32) * 0.02
        variable.assign(drawn_ + (1 if "gamma" in variable.name else 0))
    words = [*WORDS[:1], *(f"[unused{n}]" for n in range(99)), *WORDS[1:5], *(f"w{n}" for n in range(30522 - 104))]
    path = Path(tempfile.mkdtemp()) / "vocab.txt"
    path.write_text("\n".join(words) + "\n", encoding="utf-8")
    core.vocab_file = tf.saved_model.Asset(str(path))
    core.do_lower_case = tf.Variable(True, trainable=False)
    core.save(str(target), include_optimizer=False, save_format="tf")


if __name__ == "__main__":
    if "--size" in sys.argv:
        released_size(Path(sys.argv[1]), sys.argv[3])
    else:
        main(Path(sys.argv[1]))
