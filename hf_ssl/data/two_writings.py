"""Labels in two writings: a number in some rows, a word for it in others (`1` beside `yes`, `2` beside `two`)."""

from __future__ import annotations

from collections import Counter

from hf_ssl.core.errors import DataError
from hf_ssl.data.report import DataReport

_COUNTED = (
    "zero one two three four five six seven eight nine ten", "null eins zwei drei vier fünf sechs sieben acht neun zehn",
    "zéro un deux trois quatre cinq six sept huit neuf dix", "cero uno dos tres cuatro cinco seis siete ocho nueve diez",
)  # fmt: skip
_YES, _NO = "yes true ja wahr oui vrai sí si verdadero sim sì on", "no false nein falsch non faux falso não off"
SAME_AS: dict[str, tuple[str, ...]] = {
    **{word: (str(number),) for words in _COUNTED for number, word in enumerate(words.split())},
    **{word: ("1", "yes", "true") for word in _YES.split()},
    **{word: ("0", "no", "false") for word in _NO.split()},
    "positive": ("1",), "negative": ("0", "-1"), "neutral": ("0",),
}  # fmt: skip
"""Words, in lower case, and what else people write for them in the same column."""


def refuse_two_writings(counts: Counter[str], fold: bool | None, report: DataReport) -> None:
    """Numbers as labels of some rows and words as labels of others are perhaps the same classes twice.

    Args:
        counts: labels, and how often they occur.
        fold: the user's `fold_labels`; it cannot say which word is which number.
        report: is warned where there are not as many words as numbers.

    Raises:
        DataError: as many words as numbers, at least two of each.
    """
    numbers = sorted(name for name in counts if name.strip().lstrip("-").isdigit())
    words = sorted(name for name in counts if sum(letter.isalpha() for letter in name) > 1)
    sure = any(word.strip().lower() in SAME_AS for word in words)
    if min(len(numbers), len(words) + sure) < 2 or len(numbers) + len(words) < len(counts):
        return
    rows = [sum(counts[name] for name in names) for names in (numbers, words)]
    text = (
        f"{rows[0]:,} labels are numbers ({', '.join(numbers[:4])}) and {rows[1]:,} are words ({', '.join(words[:4])}): the same classes in two "
        "writings? Then write one of them into the file"
    )
    if len(numbers) == len(words) and fold is None:
        raise DataError(f"{text}; fold_labels=False says that each is a class of its own.")
    report.warn(f"{text}; they are taken for {len(counts):,} classes, and fold_labels=False says that this is meant")
