"""Tiny random checkpoints of every family the tests need, built offline in milliseconds.

Each is a real Hugging Face folder (config, safetensors, tokenizer or processor): what works on these and on one
real checkpoint is expected to work on the released ones, because the code paths are the same classes.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

TEXT = ("bert", "roberta", "distilbert", "modernbert", "albert", "mpnet", "deberta-v2", "electra")
IMAGE = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "resnet", "convnext", "swin")
WITHOUT_CLASSIFIER = ("dinov3_vit",)  # transformers has none
SEGMENTATION = ("segformer",)
PRETRAINING = ("vit_mae",)
AUDIO = ("whisper", "wav2vec2")
TIMESERIES = ("patchtst",)

HIDDEN, LAYERS, HEADS, MAX_POSITIONS = 32, 2, 4, 128
BERT_SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_SPECIALS = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
UNIGRAM_SPECIALS = ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"]

_SUBJECTS = ("the nurse", "a patient", "our engineer", "the striker", "every lawyer", "the river", "this compiler")
VERBS = ("measured", "ignored", "described", "repaired", "questioned", "followed", "remembered")
OBJECTS = ("the blood pressure", "an unusual fever", "the failing bridge", "a late goal", "the unsigned contract")
PLACES = ("in the clinic", "near the harbour", "after midnight", "before the hearing", "during the last quarter")


def corpus(size: int = 400, seed: int = 0) -> list[str]:
    """Deterministic English-like sentences with a few hundred distinct words and some non-ASCII text."""
    rng = random.Random(seed)
    parts = list(itertools.product(_SUBJECTS, VERBS, OBJECTS, PLACES))
    sentences = [" ".join(part).capitalize() + "." for part in rng.sample(parts, min(size, len(parts)))]
    return sentences + ["Naïve façade, 42 % of users said: déjà-vu!", "機器學習 在 臨床 資料 上", "Größe über alles?"]


@functools.cache
def wordpiece(vocab_size: int = 300) -> dict[str, int]:
    """Vocabulary of a lower-casing WordPiece tokenizer (BERT, DistilBERT, ELECTRA, MPNet)."""
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.train_from_iterator(
        corpus(), trainers.WordPieceTrainer(vocab_size=vocab_size, special_tokens=BERT_SPECIALS, show_progress=False)
    )
    return tokenizer.get_vocab()


@functools.cache
def byte_bpe(specials: tuple[str, ...], vocab_size: int = 400) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a byte-level BPE tokenizer (RoBERTa, ModernBERT)."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        corpus(),
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(specials),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    state = json.loads(tokenizer.to_str())["model"]
    return state["vocab"], [tuple(merge) for merge in state["merges"]]


@functools.cache
def unigram(vocab_size: int = 300) -> list[tuple[str, float]]:
    """Pieces of a SentencePiece-style unigram tokenizer (ALBERT, DeBERTa-v2)."""
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(
        corpus(),
        trainers.UnigramTrainer(
            vocab_size=vocab_size, special_tokens=UNIGRAM_SPECIALS, unk_token="<unk>", show_progress=False
        ),
    )
    return [(piece, score) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]


def tiny_tokenizer(arch: str) -> transformers.PreTrainedTokenizerBase:
    """The tokenizer class that a released checkpoint of this family uses, with a vocabulary of a few hundred."""
    if arch in ("bert", "distilbert", "electra"):
        classes = {"bert": "BertTokenizer", "distilbert": "DistilBertTokenizer", "electra": "ElectraTokenizer"}
        return getattr(transformers, classes[arch])(vocab=dict(wordpiece()), model_max_length=MAX_POSITIONS)
    if arch == "mpnet":
        # The model hard-codes padding_idx = 1, so the special tokens sit where the released vocabulary has them.
        specials = {"<s>": 0, "<pad>": 1, "</s>": 2, "[UNK]": 3, "<mask>": 4}
        pieces = {piece: index for piece, index in wordpiece().items() if piece not in BERT_SPECIALS}
        return transformers.MPNetTokenizer(vocab=specials | pieces, model_max_length=MAX_POSITIONS)
    if arch == "roberta":
        vocab, merges = byte_bpe(tuple(ROBERTA_SPECIALS))
        return transformers.RobertaTokenizer(vocab=dict(vocab), merges=merges, model_max_length=MAX_POSITIONS)
    if arch == "modernbert":
        return _modernbert_tokenizer()
    if arch == "albert":
        return transformers.AlbertTokenizer(vocab=unigram(), model_max_length=MAX_POSITIONS)
    if arch == "deberta-v2":
        # The class counts its default [PAD]/[UNK] names as specials: name the trained ones.
        return transformers.DebertaV2Tokenizer(
            vocab=unigram(), unk_token="<unk>", pad_token="<pad>", model_max_length=MAX_POSITIONS
        )
    raise KeyError(f"no tiny tokenizer for {arch!r}; text families are {', '.join(TEXT)}")


def _modernbert_tokenizer() -> transformers.PreTrainedTokenizerBase:
    # ModernBERT ships a generic fast tokenizer: byte-level BPE with BERT's special tokens.
    vocab, merges = byte_bpe(tuple(BERT_SPECIALS))
    backend = Tokenizer(models.BPE(vocab=dict(vocab), merges=merges))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:0 [SEP]:0",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=MAX_POSITIONS,
    )


def tiny_config(
    arch: str, *, vocab_size: int | None = None, hidden: int = HIDDEN, layers: int = LAYERS, **overrides: Any
) -> PreTrainedConfig:
    """A configuration with the family's own field names, small enough to train in a unit test."""
    fields: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "intermediate_size": 2 * hidden,
    }
    if arch == "distilbert":
        fields = {"dim": hidden, "n_layers": layers, "n_heads": HEADS, "hidden_dim": 2 * hidden}
    if arch in TEXT:
        fields |= _text_fields(arch, hidden, vocab_size)
    elif arch == "segformer":
        fields = {"num_channels": 3, "num_encoder_blocks": 2, "depths": [1, 1], "sr_ratios": [2, 1]}
        fields |= {"hidden_sizes": [hidden // 2, hidden], "num_attention_heads": [1, 2], "mlp_ratios": [2, 2]}
        fields |= {"patch_sizes": [7, 3], "strides": [4, 2], "decoder_hidden_size": hidden, "drop_path_rate": 0.0}
    elif arch in ("resnet", "convnext"):
        fields = {"num_channels": 3, "hidden_sizes": [hidden // 2, hidden], "depths": [1, 1]}
        fields |= {"embedding_size": hidden // 2, "layer_type": "basic"} if arch == "resnet" else {"num_stages": 2}
    elif arch == "swin":
        fields = {"image_size": 32, "patch_size": 4, "embed_dim": hidden // 2, "depths": [1, 1], "num_heads": [2, 4]}
        fields |= {"window_size": 4, "mlp_ratio": 2.0}
    elif arch in IMAGE + PRETRAINING:
        fields |= {"image_size": 32, "patch_size": 8, "num_channels": 3}
        fields |= {"mlp_ratio": 2} if arch in ("dinov2", "dinov2_with_registers") else {}
        fields |= (
            {"architectures": ["DeiTModel"]} if arch == "deit" else {}
        )  # it has two classifiers: one is picked by this
        fields |= {"num_register_tokens": 2} if arch in ("dinov2_with_registers", "dinov3_vit") else {}
        if arch == "vit_mae":
            fields |= {
                "initializer_range": 0.2,
                "decoder_hidden_size": 32,
                "decoder_num_hidden_layers": 1,
                "decoder_num_attention_heads": 2,
            }
            fields |= {"decoder_intermediate_size": 32}
    elif arch == "whisper":
        fields = {
            "d_model": hidden,
            "encoder_layers": layers,
            "decoder_layers": layers,
            "encoder_attention_heads": HEADS,
            "decoder_attention_heads": HEADS,
            "encoder_ffn_dim": 2 * hidden,
            "decoder_ffn_dim": 2 * hidden,
            "num_mel_bins": 80,
            "max_source_positions": 100,  # 2 s of audio: half of 200 feature frames
            "max_target_positions": 64,
            "vocab_size": vocab_size or 300,
            "pad_token_id": 0,
            "bos_token_id": 1,
            "eos_token_id": 2,
            "decoder_start_token_id": 1,
            "suppress_tokens": None,
            "begin_suppress_tokens": None,
        }
    elif arch == "wav2vec2":
        fields |= {
            "conv_dim": [16, 16, 16],
            "conv_stride": [5, 4, 4],
            "conv_kernel": [10, 8, 4],
            "num_conv_pos_embeddings": 16,
            "num_conv_pos_embedding_groups": 2,
            "codevector_dim": 16,
            "proj_codevector_dim": 16,
            "num_codevectors_per_group": 8,
            "vocab_size": vocab_size or 32,
        }
    elif arch == "patchtst":
        fields = {
            "num_input_channels": 2,
            "context_length": 64,
            "prediction_length": 16,
            "patch_length": 8,
            "patch_stride": 8,
            "d_model": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": HEADS,
            "ffn_dim": 2 * hidden,
        }
    else:
        raise KeyError(f"no tiny {arch!r}; there are {', '.join(TEXT + IMAGE + AUDIO + TIMESERIES)}")
    return AutoConfig.for_model(arch, **{**fields, **overrides})


def _text_fields(arch: str, hidden: int, vocab_size: int | None) -> dict[str, Any]:
    tokenizer = tiny_tokenizer(arch)
    # RoBERTa and MPNet count positions from padding_idx + 1, so their table is two rows longer.
    offset = 2 if arch in ("roberta", "mpnet") else 0
    fields: dict[str, Any] = {
        "vocab_size": vocab_size or len(tokenizer),
        "max_position_embeddings": MAX_POSITIONS + offset,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id,
        "eos_token_id": tokenizer.sep_token_id,
        "cls_token_id": tokenizer.cls_token_id,
        "sep_token_id": tokenizer.sep_token_id,
    }
    if arch == "albert":
        fields |= {"embedding_size": hidden // 2, "num_hidden_groups": 1, "inner_group_num": 1}
    elif arch == "electra":
        fields |= {"embedding_size": hidden // 2}
    elif arch == "roberta":
        fields |= {"type_vocab_size": 1}
    elif arch == "modernbert":
        fields |= {"global_attn_every_n_layers": 2, "local_attention": 16}
    elif arch == "deberta-v2":
        fields |= {
            "relative_attention": True,
            "position_buckets": 16,
            "pos_att_type": ["p2c", "c2p"],
            "share_att_key": True,
            "norm_rel_ebd": "layer_norm",
            "type_vocab_size": 0,
        }
    return fields


def default_auto_class(arch: str) -> str:
    """The class a released checkpoint of this family is saved from."""
    if arch == "vit_mae":
        return "ViTMAEForPreTraining"
    return "AutoModelForMaskedLM" if arch in TEXT else "AutoModel"


def tiny_model(arch: str, auto_class: str | None = None, *, seed: int = 0, **overrides: Any) -> PreTrainedModel:
    """A randomly initialized model in eval mode; the same seed gives the same weights.

    Args:
        arch: one of `TEXT + IMAGE + AUDIO + TIMESERIES`.
        auto_class: such as `"AutoModel"`; the default is what a released checkpoint is saved from.
        seed: of the weights. The caller's random state is left as it was.
        overrides: `vocab_size`, `hidden`, `layers` or any field of the family's configuration.
    """
    config = tiny_config(arch, **overrides)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        kind = getattr(transformers, auto_class or default_auto_class(arch))
        model = kind.from_config(config) if hasattr(kind, "from_config") else kind(config)
    return model.eval()


def tiny_bert(
    vocab_size: int | None = None, hidden: int = HIDDEN, layers: int = LAYERS, **kwargs: Any
) -> PreTrainedModel:
    """`tiny_model("bert")`, the family most tests want."""
    return tiny_model("bert", vocab_size=vocab_size, hidden=hidden, layers=layers, **kwargs)


def tiny_processor(arch: str) -> Any:
    """Tokenizer, image processor or feature extractor; None for a family that has none."""
    if arch in TEXT:
        return tiny_tokenizer(arch)
    if arch in IMAGE + PRETRAINING + SEGMENTATION:
        size = {"height": 32, "width": 32}
        if arch in SEGMENTATION:
            return transformers.SegformerImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
        return transformers.ViTImageProcessor(size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    if arch == "whisper":
        return transformers.WhisperFeatureExtractor(feature_size=80, chunk_length=2)
    if arch == "wav2vec2":
        return transformers.Wav2Vec2FeatureExtractor(return_attention_mask=True)
    return None


def write_checkpoint(
    arch: str, folder: Path | str, auto_class: str | None = None, *, seed: int = 0, **overrides: Any
) -> Path:
    """Save model and processor into `folder`, the way `save_pretrained` does, and return it as a path."""
    folder = Path(folder)
    tiny_model(arch, auto_class, seed=seed, **overrides).save_pretrained(folder)
    processor = tiny_processor(arch)
    if processor is not None:
        processor.save_pretrained(folder)
    return folder
