"""What a run answers with, beside its plain model on the Hub: `push` lays it there, `predict` and `load_answer` read it again.

The folder `answer/` of such a repository holds the teacher (`hf_ssl.stages.teacher`), and the checkpoint of its frozen readings in
`answer/start/`, unless that is on the Hub, where a commit names it. Whoever reads it trusts nobody: names lead to what is in the
repository or to a commit on the Hub, sizes are asked before anything is fetched, and nothing is loaded that can run.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.core.fields import Options
from hf_ssl.core.run import RunDir, write_json
from hf_ssl.hub.artifacts import is_hub_id
from hf_ssl.hub.staging import clean, refuse_nonfinite
from hf_ssl.models.checkpoint import Tensors, find_weights, read_json
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.forecast_answer import Mixture
from hf_ssl.stages.kept import kept_teacher
from hf_ssl.stages.teacher import LARGEST, SETTINGS, Teacher

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

ANSWER, START = "answer", "start"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SMALL = (".json", ".txt", ".model")
_KEPT = ("pooling", "untrained")  # of what `hf_ssl.json` says of a start; the rest is about the run


# -- written ------------------------------------------------------------------------------------------------------------


def stage_answer(
    run: RunDir, folder: Path, modality: Modality, wanted: bool | None, base: CheckpointRef | None
) -> Teacher | None:
    """Put what the run answers with into a staged folder.

    Args:
        wanted: whether the user said so; None: unless it holds words of the data.
        base: the start checkpoint as others find it, at a commit.

    Returns:
        the run's teacher, or None where nothing was put there.
    """
    teacher = kept_teacher(run.path / "finetune") if wanted is not False else None
    if teacher is None:
        return None
    if isinstance(teacher, Mixture):
        if wanted:
            raise ConfigError(
                f"The run answers with {teacher.told()}, which stays in the run; leave --answer out: the plain model is published."
            )
        logger.warning(
            f"  the run answers with {teacher.told()}, which stays in the run; the plain model alone is published"
        )
        return None
    told = teacher.content(modality)
    if told and wanted is None:
        logger.warning(
            f"  the run answers with {teacher.told()}; its {' and '.join(told)} hold words of your data, so the plain model alone is "
            "published. --answer true publishes both"
        )
        return None
    place = folder / ANSWER
    dataclasses.replace(teacher, ref=_public(run, teacher, place, base)).save(place)
    refuse_nonfinite(place)
    return teacher


def _public(run: RunDir, teacher: Teacher, place: Path, base: CheckpointRef | None) -> CheckpointRef:
    """The checkpoint of the frozen readings as others find it: on the Hub, or copied beside the teacher."""
    if not teacher.reads_network:
        return CheckpointRef("")
    if (
        base is not None
        and base.revision
        and run.base is not None
        and teacher.ref.id in (run.base.id, run.base.source)
    ):
        return base
    copy_start(teacher.ref, place / START)
    return CheckpointRef(str(place / START))


def copy_start(ref: CheckpointRef, folder: Path) -> None:
    """A checkpoint's tensors as safetensors, and its settings without facts about this machine."""
    from safetensors.torch import save_file

    found = find_weights(ref.id, ref.revision, ref.token)
    tensors, source = Tensors.open(found), found.files[0].parent
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensors[name].clone().contiguous() for name in tensors.shapes},
        folder / "model.safetensors",
        {"format": "pt"},
    )
    for path in source.iterdir():
        if path.is_file() and path.suffix in _SMALL and not path.name.endswith(".index.json") and path.name != LINEAGE:
            shutil.copyfile(path, folder / path.name)
    if (source / LINEAGE).is_file():
        said = read_json(source / LINEAGE)
        write_json(folder / LINEAGE, {name: said[name] for name in _KEPT if name in said})
    clean(folder)


def reading(modality: Modality, task: Task[Any]) -> dict[str, Any]:
    """How a model's input is read, for `hf_ssl.json`: kind of data and what of its options is no place and not the default."""

    def changed(config: Options) -> dict[str, Any]:
        usual = type(config)()
        given = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
        return plain_options({name: value for name, value in given.items() if value != getattr(usual, name)})

    return {
        "modality": modality.name,
        "modality_options": changed(modality.config),
        "task_options": changed(task.config),
    }


def plain_options(given: object) -> dict[str, Any]:
    """Numbers, switches and short words of a table of options; names of columns and places are the user's own."""
    if not isinstance(given, dict):
        return {}
    return {
        str(name): value
        for name, value in given.items()
        if isinstance(value, bool | int | float)
        or (isinstance(value, str) and len(value) < 32 and "/" not in value and not str(name).endswith("_column"))
    }


# -- read ---------------------------------------------------------------------------------------------------------------


def lineage_of(ref: CheckpointRef) -> dict[str, Any]:
    """What `hf_ssl.json` beside a model says; empty where it has none."""
    own = ref.file(LINEAGE)
    said = read_json(own) if own is not None else {}
    return said if isinstance(said, dict) else {}


def published_teacher(ref: CheckpointRef, start: str | None = None) -> Teacher | None:
    """The teacher of a published model; None where it answers by itself.

    Args:
        start: the checkpoint of its frozen readings, instead of the one that it names.

    Raises:
        CheckpointError: files are missing, too large, or lead elsewhere.
    """
    if not lineage_of(ref).get(ANSWER) and not (ref.folder is not None and (ref.folder / ANSWER / SETTINGS).is_file()):
        return None
    folder = _fetched(ref)
    try:
        named = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))["checkpoint"]
        name, revision = str(named["id"]), str(named["revision"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{ref.id}: {ANSWER}/{SETTINGS} cannot be read ({error}).") from error
    if start is not None:
        own = CheckpointRef(start)
    elif name == "":
        own = CheckpointRef("")
    elif name == START:
        own = CheckpointRef(str(_fetched_start(ref, folder)))
    elif is_hub_id(name) and _COMMIT.fullmatch(revision):
        own = CheckpointRef(name, revision, ref.token)
    else:
        raise CheckpointError(
            f"{ref.id}: its answer names {name!r} as the checkpoint of its readings, which is neither in the repository nor a commit on "
            "the Hub. Give the checkpoint: load_answer(..., start=...)."
        )
    teacher = Teacher.load(folder, own)
    if teacher.reads_network and not own.id:
        raise CheckpointError(f"{ref.id}: its answer reads a network, and names none.")
    return teacher


def _fetched(ref: CheckpointRef) -> Path:
    """The folder of the teacher's two files on this machine, fetched once their sizes are known to be sane."""
    if ref.folder is not None:
        return ref.folder / ANSWER
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    names = [f"{ANSWER}/{name}" for name in LARGEST]
    with contextlib.suppress(
        HfHubHTTPError, OfflineModeIsEnabled, OSError
    ):  # what is in the cache is looked at as it is loaded
        for name, most in zip(names, LARGEST.values(), strict=True):
            found = get_hf_file_metadata(hf_hub_url(ref.id, name, revision=ref.revision), token=ref.token)
            if (found.size or 0) > most:
                raise CheckpointError(f"{ref.id}: {name} has {found.size:,} bytes; at most {most:,} are fetched.")
    files = [ref.file(name) for name in names]
    if files[0] is None or files[1] is None:
        raise CheckpointError(f"{ref.id} says that it has an answer of its own, but {ANSWER}/ lacks a file.")
    return files[0].parent


def _fetched_start(ref: CheckpointRef, folder: Path) -> Path:
    if ref.folder is None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

        wanted = [f"{ANSWER}/{START}/*{suffix}" for suffix in (*_SMALL, ".safetensors")]
        try:
            snapshot_download(ref.id, revision=ref.revision, token=ref.token, allow_patterns=wanted)
        except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
            raise CheckpointError(f"{ref.id}: {ANSWER}/{START} cannot be fetched ({error}).") from error
    return folder / START
