"""The vote of several linear answers, kept beside a model that learned from it: safetensors and JSON, nothing that runs.

Where it is ahead of the model on labels held out, it is what the run answers with: `evaluate` and `predict` ask it, alone or
together with the model, and say so. The model stays a plain one, with figures of its own.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError

from hf_ssl.core.errors import CheckpointError
from hf_ssl.core.run import write_json
from hf_ssl.evaluation.probes.soft import Head, softmax
from hf_ssl.evaluation.probes.taught import mixed
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.reading import frozen_rows
from hf_ssl.tasks.base import Task, TaskModule

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality

FOLDER, SETTINGS, WEIGHTS = "teacher", "teacher.json", "teacher.safetensors"
LARGEST = {SETTINGS: 64 * 2**20, WEIGHTS: 2**30}
"""Bytes of the files that are read: half a million n-grams, and 256 million weights."""
MOST_VIEWS = 64
UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError)


@dataclass
class TeacherView:
    """One linear answer.

    Args:
        name: of the frozen reading or of the cheap features.
        kind: `"frozen"` or `"cheap"`.
        share: in the mean of the probabilities.
        head: on the rows as they are read.
        state: of the cheap features.
    """

    name: str
    kind: str
    share: float
    head: Head
    state: dict[str, Any] = field(default_factory=dict)


@dataclass
class Teacher:
    """Several linear answers and how much each counts.

    Args:
        views: they.
        classes: their names.
        name: `"vote"`, or `"teacher"` where the pool has taught them; of one view that answers alone, its name.
        ref: the checkpoint that the frozen readings are of.
        extra: tensors of the model that the checkpoint has not (a projection before the last layer), as they were.
        model_share: share of the fine-tuned model in the run's answer; the rest is the teacher's.
        head_pooling: as in `FinetuneConfig`, when it was made.
    """

    views: list[TeacherView]
    classes: list[str]
    name: str
    ref: CheckpointRef
    extra: dict[str, torch.Tensor]
    model_share: float = 0.0
    head_pooling: str = "encoder"
    _module: TaskModule | None = field(default=None, repr=False, compare=False)

    def summary(self) -> dict[str, Any]:
        """For people: what it consists of."""
        return {"name": self.name, "shares": {view.name: round(view.share, 3) for view in self.views}}

    def told(self) -> str:
        """Who answers, for people."""
        names = [view.name for view in self.views]
        own = self.name if len(names) == 1 and self.name != "teacher" else f"the {self.name} of {', '.join(names)}"
        return own if self.model_share == 0 else f"{own} ({1 - self.model_share:.0%}) and the fine-tuned model"

    def save(self, folder: Path) -> None:
        """Write it. The vocabulary of a text teacher holds words of the data: `push` publishes that only when told to."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        tensors = {f"extra.{name}": one.contiguous() for name, one in self.extra.items()}
        for number, view in enumerate(self.views):
            tensors[f"view.{number}.weight"] = torch.from_numpy(np.ascontiguousarray(view.head.weight, np.float32))
            tensors[f"view.{number}.bias"] = torch.from_numpy(np.ascontiguousarray(view.head.bias, np.float32))
        save_file(tensors, folder / WEIGHTS)
        write_json(
            folder / SETTINGS,
            {
                "name": self.name, "classes": self.classes, "model_share": self.model_share, "head_pooling": self.head_pooling,
                "checkpoint": {"id": _named(self.ref, folder), "revision": self.ref.revision},
                "views": [
                    {"name": view.name, "kind": view.kind, "share": view.share, "state": view.state} for view in self.views
                ],
            },
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path, ref: CheckpointRef | None = None) -> Teacher:
        """Read it, whoever wrote it: nothing in the folder can run, and whatever does not fit together is refused.

        Args:
            ref: the checkpoint of its frozen readings, instead of the one that the folder names.

        Raises:
            CheckpointError: files are missing, damaged, or not what they say.
        """
        try:
            settings, tensors = read_files(folder)
            views = [
                TeacherView(
                    str(one["name"]), str(one["kind"]), float(one["share"]),
                    Head(tensors[f"view.{number}.weight"].numpy(), tensors[f"view.{number}.bias"].numpy()), dict(one["state"]),
                )
                for number, one in enumerate(settings["views"][:MOST_VIEWS])
            ]  # fmt: skip
            extra = {name.removeprefix("extra."): one for name, one in tensors.items() if name.startswith("extra.")}
            named = settings["checkpoint"]
            beside = folder / str(named["id"])
            own = ref or CheckpointRef(str(beside) if beside.is_dir() else str(named["id"]), named["revision"])
            found = cls(
                views, [str(name) for name in settings["classes"]], str(settings["name"]), own, extra,
                float(settings.get("model_share", 0.0)), str(settings.get("head_pooling", "encoder")),
            )  # fmt: skip
            found._check()
            return found
        except (*UNREADABLE, SafetensorError) as error:
            raise CheckpointError(f"The teacher in {folder} cannot be read ({error}). Run finetune again.") from error

    def _check(self) -> None:
        """Raise ValueError where the parts do not fit together."""
        total = sum(view.share for view in self.views)
        if not self.views or not all(0 < view.share <= 1 for view in self.views) or not abs(total - 1) < 1e-3:
            raise ValueError(f"the shares of its views sum to {total}")
        if not 0 <= self.model_share <= 1:
            raise ValueError(f"the share of the model is {self.model_share}")
        for view in self.views:
            weight, bias = view.head.weight, view.head.bias
            if weight.ndim != 2 or len(weight) != len(self.classes) or bias.shape != (len(self.classes),):
                raise ValueError(f"the head of {view.name} is not one of {len(self.classes)} classes")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise ValueError(f"the head of {view.name} is not finite")

    def content(self, modality: Modality) -> list[str]:
        """Views whose state holds words of the data."""
        speaking = {one.name for one in modality.cheap_features() if one.holds_content}
        return [view.name for view in self.views if view.name in speaking and view.state]

    @property
    def reads_network(self) -> bool:
        """Whether some view is a reading of the frozen checkpoint."""
        return any(view.kind == "frozen" for view in self.views)

    def answers(self, task: Task[Any], dataset: datasets.Dataset) -> np.ndarray:
        """Probabilities of every example `(len(dataset), classes)`.

        Args:
            task: the one that it was made for.
            dataset: examples; labels are not looked at.

        Raises:
            CheckpointError: the checkpoint of its frozen readings is not there any more, or is another one; views that this kind of
                data does not have.
        """
        rows: dict[str, Any] = {}
        if self.reads_network:
            module = self._module = self._module or self._loaded(task, dataset)
            rows |= frozen_rows(module, task.encode(module.encoder, dataset))
        states = {view.name: view.state for view in self.views if view.kind == "cheap"}
        for one in task.modality.cheap_features():
            if one.name in states:
                try:
                    one.restore(states[one.name])
                except (ValueError, KeyError, TypeError) as error:
                    raise CheckpointError(
                        f"The teacher's {one.name} are damaged ({error}). Run finetune again."
                    ) from error
                rows[one.name] = one.rows(task.inputs(dataset))
        for view in self.views:
            width = rows[view.name].shape[1] if view.name in rows else None
            if width != view.head.weight.shape[1]:
                raise CheckpointError(
                    f"The teacher's {view.name} are {view.head.weight.shape[1]} columns wide; {self.ref.id} and this version of hf_ssl "
                    f"give {width or 'no such rows'}. It was made from another checkpoint or version: run finetune again."
                )
        return mixed(
            {view.name: view.head.answers(rows[view.name]) for view in self.views},
            {view.name: view.share for view in self.views},
        )

    def together(self, logits: np.ndarray | None, own: np.ndarray) -> np.ndarray:
        """The run's answer as logits `(examples, classes)`.

        Args:
            logits: of the fine-tuned model; None where it has no share.
            own: this teacher's probabilities of the same examples.
        """
        shared = own if logits is None else self.model_share * softmax(logits) + (1 - self.model_share) * own
        return np.log(np.clip(shared, 1e-9, None))

    def _loaded(self, task: Task[Any], dataset: datasets.Dataset) -> TaskModule:
        encoder = task.modality.load(
            self.ref, task.auto_class, dataset=dataset, pooling=task.pooling, new_head=True, **task.model_options()
        )  # fmt: skip
        if self.head_pooling == "encoder":
            encoder.adapt_head()
        new = encoder.model.state_dict()
        wrong = [name for name, one in self.extra.items() if name not in new or new[name].shape != one.shape]
        if wrong:
            raise CheckpointError(
                f"The teacher was made from another model than {self.ref.id}: {wrong[0]} does not fit. Run finetune again."
            )
        encoder.model.load_state_dict(self.extra, strict=False)
        return TaskModule(encoder, task)


def _named(ref: CheckpointRef, folder: Path) -> str:
    """A checkpoint that lies in the same run goes by its way from here: runs are moved, and names of folders are nobody's business."""
    run = folder.resolve().parent.parent
    if ref.folder is None or not ref.folder.resolve().is_relative_to(run):
        return ref.id
    return Path(os.path.relpath(ref.folder.resolve(), folder.resolve())).as_posix()


def read_files(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Settings and tensors of what a run answers with; files of unlikely size are not read.

    Raises:
        one of `UNREADABLE`, or a SafetensorError: they are missing or damaged.
    """
    from safetensors.torch import load_file

    for name, most in LARGEST.items():
        if (size := (folder / name).stat().st_size) > most:
            raise ValueError(f"{name} has {size:,} bytes, at most {most:,} are read")
    settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    return settings, load_file(folder / WEIGHTS)
