"""Numbers as people write them: right beyond doubt, told with the option for the other reading, or asked."""

from __future__ import annotations

import math

import pytest

from hf_ssl.core.errors import DataError
from hf_ssl.core.numbers import NotNumbers, read_numbers, respelled


@pytest.mark.parametrize(
    ("written", "meant", "told"),
    [
        (["1,234", "2,117", "987.50"], [1234, 2117, 987.5], "'decimal': ','"),
        (["1,234", "12,117", "987", "-5"], [1234, 12117, 987, -5], "'decimal': ','"),
        (["1,234,567", "2,117"], [1234567, 2117], "thousands"),
        (["1,234.5", "2,117", "3"], [1234.5, 2117, 3], "thousands"),
        (["1.234,5", "2.117,0", "3"], [1234.5, 2117, 3], "thousands"),
        (["1.234", "987,5"], [1234, 987.5], "'thousands': '.'"),
        (["0,123", "1,234"], [0.123, 1.234], "decimal comma"),
        (["1,5", "2,117"], [1.5, 2.117], "decimal comma"),
        (["1,5", "2.25"], [1.5, 2.25], "decimal comma"),
        (["1 234", "987,5"], [1234, 987.5], "blanks"),
        (["1'234", "987.5"], [1234, 987.5], "apostrophes"),
        (["$1,234", "$987"], [1234, 987], "'decimal': ','"),
        (["83%", "6%"], [83, 6], "%"),
        (["8.1k", "950"], [8100, 950], "k means"),
        (["1.20M", "961.5K", "-2k"], [1.2e6, 961500, -2000], "M means"),
        (["$1.5 bn", "$2 Mio"], [1.5e9, 2e6], "bn means"),
        (["8,1k", "9,55k"], [8100, 9550], "decimal comma"),
        (["(1.5k)", "2k"], [-1500, 2000], "minus"),
        (["(1,234.50)", "12"], [-1234.5, 12], "minus"),
        (["1,234", None, "-", "12"], [1234, math.nan, math.nan, 12], "'decimal': ','"),
    ],
)  # fmt: skip
def test_numbers_are_read_and_told(written, meant, told):
    values, note = read_numbers(written, "v")
    assert values == pytest.approx(meant, nan_ok=True) and told in str(note)


@pytest.mark.parametrize(
    "written", [["1,234", "2,117"], ["1,234", "5000"], ["1,234", "1.234"], ["$1,234", "$2,117"], ["-1,234", "2,117"]]
)
def test_one_or_one_thousand_is_asked_and_both_answers_work(written):
    with pytest.raises(DataError, match="thousands.*decimal"):
        read_numbers(written, "v")
    if "1.234" not in written:
        for mark, first in (("thousands", 1234), ("decimal", 1.234)):
            answered = respelled(written, **{"decimal": None, "thousands": None, mark: ","})
            assert answered is not None and abs(float(answered[0])) == pytest.approx(first)


@pytest.mark.parametrize(
    "written",
    [["1,23,456", "2"], ["1.2.3", "1,5"], ["1,234", "word"], ["1,2,3", "4,5"], ["282.8 K", "283.1 K"], ["1.5m", "2m"]],
)
def test_what_is_no_number_is_refused(written):
    with pytest.raises(NotNumbers):
        read_numbers(written, "v")
