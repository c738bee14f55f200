"""Examples in a terminal: few lines, however many classes there are."""

from __future__ import annotations

from hf_ssl.data.examples import Example, as_text


def test_each_class_has_a_line_before_any_has_two_and_the_rest_is_counted() -> None:
    found = [Example("train", label, f"{label}{n}", f"text {n} of {label}") for label in "abcdefgh" for n in range(3)]
    found += [Example("test", "", "x", "alone")]
    lines = as_text(found).splitlines()
    assert len(lines) == 14 and [line.split()[1] for line in lines[:12]] == [*"abcdefgh", *"abcd"]
    assert "12 more" in lines[12] and lines[13].split() == ["test", "alone"]
