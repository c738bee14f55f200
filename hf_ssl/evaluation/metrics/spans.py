"""Entity spans in tag sequences, read strictly.

The lenient reading common in named-entity scripts accepts `I-PER I-PER` as a correct prediction of `B-PER I-PER`;
the strict one used here does not: a span counts only when it is opened (and, in BIOES, closed) as its scheme says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hf_ssl.core.errors import ConfigError, DataError, nearest

SCHEMES = {"IOB2": "BIO", "BIOES": "BIOES"}

Span = tuple[str, int, int]
"""Entity type, first token, last token + 1."""


def _split(tag: str, scheme: str) -> tuple[str, str]:
    """`"B-PER"` → `("B", "PER")`; the type may itself hold hyphens, and may be empty (`"B"`)."""
    prefix, _, kind = tag.partition("-")
    if prefix not in SCHEMES[scheme] or len(prefix) != 1:
        raise DataError(
            f"Tag {tag!r} does not belong to the {scheme} scheme, whose tags start with one of "
            f"{', '.join(SCHEMES[scheme])} and a hyphen, such as 'B-PER' and 'O'."
        )
    return prefix, kind


def detect_scheme(sequences: Iterable[Sequence[str]]) -> str:
    """`"BIOES"` when any tag starts with `S-` or `E-`, else `"IOB2"`."""
    return "BIOES" if any(tag[:1] in ("S", "E") for tags in sequences for tag in tags) else "IOB2"


def spans(tags: Sequence[str], scheme: str = "IOB2") -> set[Span]:
    """The well-formed spans of one sentence.

    IOB2: `B-x` followed by any number of `I-x`. BIOES: `S-x`, or `B-x`, any number of `I-x`, and `E-x`. Everything
    else (an `I-x` that nothing opened, a BIOES span that is not closed) is no span at all.

    Args:
        tags: one tag per token, such as `["B-PER", "I-PER", "O"]`.
        scheme: `"IOB2"` or `"BIOES"`.

    Raises:
        ConfigError: unknown scheme.
        DataError: a tag that the scheme does not have.
    """
    if scheme not in SCHEMES:
        raise ConfigError(f"Unknown tag scheme {scheme!r}; known: {', '.join(SCHEMES)}.{nearest(scheme, SCHEMES)}")
    read = [_split(tag, scheme) for tag in tags]
    found: set[Span] = set()
    for start, (prefix, kind) in enumerate(read):
        if prefix == "S":
            found.add((kind, start, start + 1))
        if prefix != "B":
            continue
        end = start + 1
        while end < len(read) and read[end] == ("I", kind):
            end += 1
        if scheme == "IOB2":
            found.add((kind, start, end))
        elif end < len(read) and read[end] == ("E", kind):
            found.add((kind, start, end + 1))
    return found


def span_counts(
    predictions: Sequence[Sequence[str]], references: Sequence[Sequence[str]], scheme: str | None = None
) -> list[dict[str, list[int]]]:
    """For each sentence, by entity type: `[correct, predicted, true]` span counts.

    Args:
        predictions: tag strings, one list per sentence.
        references: tag strings, same lengths.
        scheme: `"IOB2"`, `"BIOES"`, or `None` to read it off the tags.

    Raises:
        DataError: the number of sentences, or the number of tags of a sentence, differs.
    """
    if len(predictions) != len(references):
        raise DataError(f"{len(predictions)} predicted sentences against {len(references)} true ones.")
    scheme = scheme or detect_scheme([*references, *predictions])
    sentences = []
    for row, (predicted, true) in enumerate(zip(predictions, references, strict=True)):
        if len(predicted) != len(true):
            raise DataError(
                f"Sentence {row} has {len(predicted)} predicted tags and {len(true)} true ones. "
                "Give one tag per word, also for words that were cut off by the maximum length (use 'O')."
            )
        predicted_spans, true_spans = spans(predicted, scheme), spans(true, scheme)
        counts: dict[str, list[int]] = {}
        for position, group in enumerate((predicted_spans & true_spans, predicted_spans, true_spans)):
            for kind, _, _ in group:
                counts.setdefault(kind, [0, 0, 0])[position] += 1
        sentences.append(counts)
    return sentences
