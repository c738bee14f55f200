"""Tables of several files whose series have to have the same channels: the second one of a file must not be another quantity's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from hf_ssl.core.errors import DataError
from hf_ssl.modalities.timeseries.table import Table


def refuse_other_channels(origins: Sequence[str], tables: Sequence[Table]) -> None:
    """Channels are told apart by their place later on, so all tables have to have the same ones.

    Args:
        origins: names of the files of each table.
        tables: in the same order.

    Raises:
        DataError: a table has others, or other steps.
    """
    names = [tuple(name.strip().lower() for name in table.channels) for table in tables]
    if len(set(names)) > 1:
        usual = Counter(name for name, table in zip(names, tables, strict=True) for _ in table.series).most_common(1)[
            0
        ][0]
        place = next(place for place, name in enumerate(names) if name != usual)
        main = tables[names.index(usual)].channels
        common = [name for name in main if all(name.strip().lower() in other for other in names)]
        way = (
            f"Name those that all have: target_columns={common}; or mend the file"
            if common
            else "Give all files the same columns, or load them one by one"
        )
        odd, plain = (PurePath(origins[at].split(", ")[0]).name for at in (place, names.index(usual)))
        raise DataError(
            f"{odd} has other channels ({', '.join(tables[place].channels)[:80]}) than {plain} ({', '.join(main)[:80]}): values of different things "
            f"would be taken for one. {way}."
        )
    if len({table.frequency for table in tables}) > 1:
        shown = ", ".join(f"{origin}: {table.frequency}" for origin, table in zip(origins, tables, strict=True))
        raise DataError(f"The parts of the data have different steps ({shown}). Load them one by one.")
