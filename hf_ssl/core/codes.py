"""A code for every kind of error and of warning, which leads to a section of docs/troubleshooting.md.

A kind is the class of the error and the part of the library that raised it: both are known of any error, also of one whose line is
written tomorrow, so no place that raises has to name its code. A kind of warning is just the part of the library that gives it.
Codes are never given to another kind; those of the report page (HFS3..) are in `hf_ssl.report.notices`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from types import FrameType, TracebackType


@dataclass(frozen=True)
class Kind:
    """One kind of error or warning.

    Args:
        error: name of its class; empty for a warning.
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
    "HFS022": Kind("DataError", ("data.readers", "core.textfiles"), "A file is not there, cannot be read, or is not what its name says"),
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
    "HFS101": Kind("MachineError", (), "The disk, the memory or the system does not let it"),
    "HFS100": Kind("HfSslError", (), "Another error of this library"),
}  # fmt: skip


OTHER_WARNING, FOREIGN_WARNING = "HFS200", "HFS299"
WARNINGS = {
    OTHER_WARNING: Kind("", (), "Something is worth a look"),
    "HFS201": Kind("", ("data.load", "data.assemble", "data.decoded"), "Not all of the source is used, or not as it stands"),
    "HFS202": Kind("", ("data.readers", "core.textfiles"), "Files were left out, or read with a guess"),
    "HFS203": Kind("", ("data.column", "data.input_column"), "A column was chosen, or its entries are incomplete"),
    "HFS204": Kind("", ("data.label", "data.tags"), "Labels were changed, or look odd"),
    "HFS205": Kind("", ("data.split",), "The parts are not as even as one would want"),
    "HFS206": Kind("", ("data.leakage", "data.target", "data.domain"), "The parts share examples, or what was seen of them"),
    "HFS207": Kind("", ("modalities.timeseries",), "Dates or values of the series were interpreted"),
    "HFS208": Kind("", ("modalities.audio",), "Recordings were changed or left out"),
    "HFS209": Kind("", ("modalities.image",), "Pictures or masks were interpreted"),
    "HFS210": Kind("", ("data", "modalities"), "The data were read with a choice that you should know"),
    "HFS220": Kind("", ("models",), "Something about the checkpoint should be known"),
    "HFS221": Kind("", ("stages.pretrain", "stages.base"), "The start of pre-training may not suit it"),
    "HFS231": Kind("", ("training.checkpoints",), "A checkpoint was not whole and was set aside"),
    "HFS230": Kind("", ("training",), "Training goes on, but not quite as asked"),
    "HFS232": Kind("", ("core.lock",), "The run folder's lock was taken over"),
    "HFS233": Kind("", ("core.distributed",), "The launch may have started fewer processes than were meant"),
    "HFS240": Kind("", ("evaluation",), "A metric cannot be computed here"),
    "HFS241": Kind("", ("stages.cells",), "A kept result cannot be read and is made again"),
    "HFS242": Kind("", ("stages.predict", "stages.reference"), "Answers for inputs like these are less sure"),
    "HFS243": Kind("", ("stages.domains",), "Fine-tuning across domains may not have helped"),
    "HFS244": Kind("", ("stages.adapt",), "One of the ways could not be tried to its end"),
    "HFS245": Kind("", ("tasks", "objectives"), "A task or an objective took the data in its own way"),
    "HFS250": Kind("", ("core.option_groups", "hf_ssl"), "An old name is used, which will go"),
    "HFS246": Kind("", ("stages", "hub", "vectors", "report", "core"), "A stage says something about what it did"),
    FOREIGN_WARNING: Kind("", (), "Another library warns"),
}  # fmt: skip
"""Of warnings; the part of the library that comes first here gives the code."""


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


def code_of_warning(module: str) -> str:
    """The code of a warning that a module of this library gives, by its name; of another library's for all others."""
    if module.partition(".")[0] != "hf_ssl":
        return FOREIGN_WARNING
    inner = module.removeprefix("hf_ssl.")
    return next(
        (code for code, kind in WARNINGS.items() if kind.where and inner.startswith(kind.where)), OTHER_WARNING
    )


def calling_module(*skipped: str) -> str:
    """Name of the module that called, the first on the way up that is none of those skipped."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name not in (__name__, *skipped):
            return name
        frame = frame.f_back
    return ""
