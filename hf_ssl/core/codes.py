"""A code for every kind of error, which leads to a section of docs/troubleshooting.md.

A kind is the class of the error and the part of the library that raised it: both are known of any error, also of one whose line is
written tomorrow, so no place that raises has to name its code. Codes are never given to another kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType


@dataclass(frozen=True)
class Kind:
    """One kind of error.

    Args:
        error: name of its class.
        where: modules that raise it, as the beginning of their names; empty for all others.
        title: what went wrong, for the head of its section.
    """

    error: str
    where: tuple[str, ...]
    title: str


CODES = {
    "HFS001": Kind("ConfigError", (), "An option or a command cannot be right"),
    "HFS002": Kind("OptionsError", (), "Several options are wrong, or one has no such value"),
    "HFS003": Kind("ConfigError", ("core.plugins",), "No objective, task, modality or store has this name"),
    "HFS004": Kind("ConfigError", ("core.parsing",), "A recipe or a file of options cannot be read"),
    "HFS005": Kind("ConfigError", ("core.distributed",), "The launch started fewer processes than were asked for"),
    "HFS006": Kind("ConfigError", ("stages",), "The stage lacks something, or options contradict the run"),
    "HFS007": Kind("ConfigError", ("modalities",), "The checkpoint and the kind of data do not fit together"),
    "HFS008": Kind("ConfigError", ("models.adapter",), "The adapter does not fit the model"),
    "HFS009": Kind("ConfigError", ("objectives", "tasks"), "The objective or the task cannot be used on this"),
    "HFS010": Kind("ConfigError", ("vectors",), "The vector store cannot be used like this"),
    "HFS020": Kind("DataError", (), "The data cannot be used as given"),
    "HFS021": Kind("NotNumbers", (), "A column of numbers holds words"),
    "HFS022": Kind("DataError", ("data.readers", "core.textfiles"), "A file cannot be read, or is not what its name says"),
    "HFS023": Kind("DataError", ("data.load", "data.assemble", "data.target", "stages"), "The source, or one of its parts, is missing or empty"),
    "HFS024": Kind("DataError", ("data.column",), "A column was not found, or several could be meant"),
    "HFS025": Kind("DataError", ("data.label", "data.tags"), "The labels cannot be read as labels"),
    "HFS026": Kind("DataError", ("data.splits",), "There are too few examples to split or to draw from"),
    "HFS027": Kind("DataError", ("data.leakage",), "The test data are sealed, or also in the training data"),
    "HFS028": Kind("DataError", ("modalities.timeseries",), "The time stamps or values make no series"),
    "HFS029": Kind("DataError", ("modalities.audio",), "The recordings, or the parts of them, cannot be used"),
    "HFS030": Kind("DataError", ("modalities.image",), "The pictures or masks cannot be used"),
    "HFS031": Kind("DataError", ("tasks", "objectives"), "The labels or examples do not suit the task or objective"),
    "HFS032": Kind("DataError", ("evaluation",), "The numbers cannot be computed from these answers"),
    "HFS033": Kind("DataError", ("demo",), "The demo data are not there, or not those that were checked"),
    "HFS040": Kind("CheckpointError", (), "The checkpoint is not what it was said to be"),
    "HFS041": Kind("CheckpointError", ("models.load",), "The checkpoint did not load completely"),
    "HFS042": Kind("CheckpointError", ("models.checkpoint", "models.reference"), "The files of the checkpoint cannot be read"),
    "HFS043": Kind("CheckpointError", ("models.tensorflow",), "The TensorFlow model cannot be imported"),
    "HFS060": Kind("MissingExtraError", (), "An optional package is not installed"),
    "HFS070": Kind("RunFolderError", (), "The run folder is in use, another's, or lacks an earlier stage"),
    "HFS080": Kind("TrainingError", (), "Training could not go on"),
    "HFS081": Kind("TrainingError", ("training.callbacks", "evaluation"), "The loss or the features are not finite, or collapsed"),
    "HFS082": Kind("TrainingError", ("training.checkpoints",), "No checkpoint to resume from is whole, or it is another training's"),
    "HFS090": Kind("HubError", (), "The repository cannot be published as it is"),
    "HFS091": Kind("HubError", ("hub.reload_check",), "The staged model does not answer as the run's"),
    "HFS092": Kind("HubError", ("hub.api",), "The Hub refused, or was not reached"),
    "HFS100": Kind("HfSslError", (), "Another error of this library"),
}  # fmt: skip


def code_of(error: BaseException) -> str:
    """The code of an error: that of its class, and of the part of the library that raised it."""
    raised = _module(error.__traceback__).removeprefix("hf_ssl.")
    for kind in type(error).__mro__:
        mine = {code: known for code, known in CODES.items() if known.error == kind.__name__}
        at = [code for code, known in mine.items() if known.where and raised.startswith(known.where)]
        general = [code for code, known in mine.items() if not known.where]
        if at or general:
            return (at or general)[0]
    return "HFS100"


def _module(trace: TracebackType | None) -> str:
    """Of this library's modules, the one that was innermost."""
    names = []
    while trace is not None:
        names.append(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    return next((name for name in reversed(names) if name.startswith("hf_ssl.")), "")
