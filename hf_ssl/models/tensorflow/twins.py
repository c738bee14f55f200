"""Models of TensorFlow Hub that are better had from elsewhere: the same weights at the Hugging Face Hub, or another model.

The first table is for models whose own makers, or the maintainers of transformers and timm, published the same weights in a
form that loads as it is: nothing has to be imported, and the result would be worse, for it would lack revision and card. The
second is for models that have no class in transformers, or no backbone to continue from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Twin:
    """A model at the Hugging Face Hub with the same weights.

    Attributes:
        pattern: regular expression on the handle in lower case, hyphens for underscores, without its version.
        hub_id: what to give to `--model`; groups of the pattern may be used.
        note: a difference worth knowing.
    """

    pattern: str
    hub_id: str
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """A model that is not imported.

    Attributes:
        pattern: as in `Twin`.
        variables: regular expressions of variable names that tell it, when it comes as a folder.
        name: in sentences.
        reason: why not.
        instead: what to use.
    """

    pattern: str
    variables: tuple[str, ...]
    name: str
    reason: str
    instead: str


_GELU = "its config says the exact gelu, TensorFlow's computes the tanh form: outputs differ slightly"
TWINS = (
    Twin(r"small-bert/bert-en-uncased-l-(\d+)-h-(\d+)-a-(\d+)", r"google/bert_uncased_L-\1_H-\2_A-\3", _GELU),
    Twin(r"(?:bert-)?en-uncased-l-12-h-768-a-12", "google-bert/bert-base-uncased", _GELU),
    Twin(r"(?:bert-)?en-cased-l-12-h-768-a-12", "google-bert/bert-base-cased", _GELU),
    Twin(r"(?:bert-)?en-uncased-l-24-h-1024-a-16", "google-bert/bert-large-uncased", _GELU),
    Twin(r"(?:bert-)?en-cased-l-24-h-1024-a-16", "google-bert/bert-large-cased", _GELU),
    Twin(r"(?:bert-)?en-wwm-uncased-l-24-h-1024-a-16", "google-bert/bert-large-uncased-whole-word-masking", _GELU),
    Twin(r"(?:bert-)?en-wwm-cased-l-24-h-1024-a-16", "google-bert/bert-large-cased-whole-word-masking", _GELU),
    Twin(r"(?:bert-)?multi-cased-l-12-h-768-a-12", "google-bert/bert-base-multilingual-cased", _GELU),
    Twin(r"(?:bert-)?zh-l-12-h-768-a-12", "google-bert/bert-base-chinese", _GELU),
    Twin(r"(?:bert-)?en-uncased-l-(\d+)-h-(\d+)-a-(\d+)", r"google/bert_uncased_L-\1_H-\2_A-\3", _GELU),
    Twin(r"albert(?:-en)?-(base|large|xlarge|xxlarge)|albert/tensorflow\d/(?:en-)?(base|large|xlarge|xxlarge)",
         r"albert/albert-\g<size>-v2", "version 1 of the handle is albert/albert-…-v1"),
    Twin(r"electra-(small|base|large)|electra/tensorflow2/(small|base|large)", r"google/electra-\g<size>-discriminator"),
    Twin(r"mobilebert(?:-.*)?", "google/mobilebert-uncased"),
    Twin(r"muril", "google/muril-base-cased"),
    Twin(r"labse", "sentence-transformers/LaBSE"),
    Twin(r"st5-(base|large)", r"sentence-transformers/sentence-t5-\g<size>"),
    Twin(r"m-r(50x1|50x3|101x1|101x3|152x2|152x4)", r"timm/resnetv2_\1_bit.goog_in21k"),
    Twin(r"vit-b16(?:-.*)?", "google/vit-base-patch16-224"),
    Twin(r"wav2vec2(?:/tensorflow\d/.*|-960h)?", "facebook/wav2vec2-base", "the one at TensorFlow Hub was made from it"),
)  # fmt: skip

_NO_CLASS = "it is a network for sound that neither transformers nor timm has a class for"
REFUSED = (
    Refused(r"yamnet", (r"layer1/conv/kernel", r"layer2/depthwise_conv/depthwise_kernel"), "YAMNet",
            f"{_NO_CLASS}, and it was trained with labels (AudioSet)",
            "MIT/ast-finetuned-audioset-10-10-0.4593, trained on the same labels, or facebook/wav2vec2-base, without any"),
    Refused(r"vggish", (r"vggish/conv1/weights", r"vggish/fc1/fc1_1/weights"), "VGGish",
            f"{_NO_CLASS}, and it was trained with labels (YouTube-8M)",
            "MIT/ast-finetuned-audioset-10-10-0.4593 for sounds, facebook/wav2vec2-base for speech"),
    Refused(r"nonsemantic-speech-benchmark|trill(?:sson\d?|-distilled)?|frill", (r"(?:trill|frill|trillsson)\w*/.*",), "TRILL",
            _NO_CLASS, "microsoft/wavlm-base or facebook/wav2vec2-base, both self-supervised on speech"),
    Refused(r"universal-sentence-encoder(?:-.*)?", (r"EncoderDNN/.*", r"Embeddings_en(?:/.*)?"), "the Universal Sentence Encoder",
            "its network (a deep averaging network, or a transformer of its own) has no class in transformers, and it was already "
            "tuned with labels", "sentence-transformers/all-MiniLM-L6-v2 for vectors, google-bert/bert-base-uncased to continue from"),
    Refused(r"nnlm-.*|wiki-words-.*|gnews-swivel-.*|elmo", (r"embeddings/part_\d+",), "a table of word vectors",
            "it has no backbone to continue", "sentence-transformers/all-MiniLM-L6-v2"),
    Refused(r"imagenet", (), "a classifier of ImageNet", "it was trained with labels, and its network is none of those that are read",
            "the same architecture from timm (timm/mobilenetv2_100.ra_in1k, timm/efficientnet_b0.ra_in1k, timm/resnet50.a1_in1k)"),
    Refused(r"t5(?:-.*)?", (r"encoder/block_\d+/layer_\d+/SelfAttention/q",), "T5", "it is no encoder alone",
            "google-bert/bert-base-uncased to continue, sentence-transformers/sentence-t5-base for vectors of its encoder"),
)  # fmt: skip


def normal(handle: str) -> str:
    """A handle as the tables have it: lower case, hyphens, no version."""
    return re.sub(r"/\d+$", "", handle.lower().replace("_", "-"))


def twin_of(handle: str) -> tuple[str, str] | None:
    """Hub id and note of the model with the same weights, or None.

    Example:
        >>> twin_of("google/electra/tensorFlow2/small/1")
        ('google/electra-small-discriminator', '')
    """
    name = normal(handle)
    if "expert" in name or "preprocess" in name:  # BERT experts have weights of their own
        return None
    for twin in TWINS:
        match = re.search(f"(?:^|/)(?:{twin.pattern})$", name)
        if match:
            size = next((group for group in match.groups() if group), "")
            return match.expand(twin.hub_id.replace(r"\g<size>", size)), twin.note
    return None


def refusal_of(handle: str, names: Iterable[str] = ()) -> Refused | None:
    """Why a model is not imported, told by its handle or its variables, or None."""
    parts, known = normal(handle).split("/"), list(names)
    for refused in REFUSED:
        if any(re.fullmatch(refused.pattern, part) for part in parts):
            return refused
        if any(re.fullmatch(f"(?:.*/)?(?:{pattern})", name) for pattern in refused.variables for name in known):
            return refused
    return None
