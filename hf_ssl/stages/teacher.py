"""The vote of several linear answers, kept beside a model that learned from it: safetensors and JSON, nothing that runs.

Where it is ahead of the model on labels held out, it is what the run answers with: `evaluate` and `predict` ask it, alone or
together with the model, and say so. The model stays a plain one, with figures of its own.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hf_ssl.core.errors import CheckpointError
from hf_ssl.core.run import write_json
from hf_ssl.evaluation.probes.soft import Head, softmax
from hf_ssl.evaluation.probes.taught import mixed
from hf_ssl.models.reference import CheckpointRef

if TYPE_CHECKING:
    import datasets

    from hf_ssl.tasks.base import Task, TaskModule

FOLDER, SETTINGS, WEIGHTS = "teacher", "teacher.json", "teacher.safetensors"


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
        name: `"vote"`, or `"teacher"` where the pool has taught them.
        ref: the checkpoint that the frozen readings are of.
        extra: tensors of the model that the checkpoint has not (a projection before the last layer), as they were.
        model_share: share of the fine-tuned model in the run's answer; the rest is the teacher's.
    """

    views: list[TeacherView]
    classes: list[str]
    name: str
    ref: CheckpointRef
    extra: dict[str, torch.Tensor]
    model_share: float = 0.0
    _module: TaskModule | None = field(default=None, repr=False, compare=False)

    def summary(self) -> dict[str, Any]:
        """For people: what it consists of."""
        return {"name": self.name, "shares": {view.name: round(view.share, 3) for view in self.views}}

    def told(self) -> str:
        """Who answers, for people."""
        own = f"the {self.name} of {', '.join(view.name for view in self.views)}"
        return own if self.model_share == 0 else f"{own} ({1 - self.model_share:.0%}) and the fine-tuned model"

    def save(self, folder: Path) -> None:
        """Write it. The vocabulary of a text teacher holds words of the data: the folder is never published."""
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
                "name": self.name, "classes": self.classes, "model_share": self.model_share, "checkpoint": asdict(self.ref) | {"token": None},
                "views": [
                    {"name": view.name, "kind": view.kind, "share": view.share, "state": view.state} for view in self.views
                ],
            },
        )  # fmt: skip

    @classmethod
    def load(cls, folder: Path) -> Teacher:
        """Read it.

        Raises:
            CheckpointError: files are missing or damaged.
        """
        from safetensors.torch import load_file

        try:
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            tensors = load_file(folder / WEIGHTS)
            views = [
                TeacherView(
                    one["name"], one["kind"], one["share"],
                    Head(tensors[f"view.{number}.weight"].numpy(), tensors[f"view.{number}.bias"].numpy()), one["state"],
                )
                for number, one in enumerate(settings["views"])
            ]  # fmt: skip
            extra = {name.removeprefix("extra."): one for name, one in tensors.items() if name.startswith("extra.")}
            ref = CheckpointRef(settings["checkpoint"]["id"], settings["checkpoint"]["revision"])
            return cls(views, settings["classes"], settings["name"], ref, extra, settings.get("model_share", 0.0))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"The teacher in {folder} cannot be read ({error}). Run finetune again.") from error

    def answers(self, task: Task[Any], dataset: datasets.Dataset, head_pooling: str = "encoder") -> np.ndarray:
        """Probabilities of every example `(len(dataset), classes)`.

        Args:
            task: the one that it was made for.
            dataset: examples; labels are not looked at.
            head_pooling: as in `FinetuneConfig`, when it was made.

        Raises:
            CheckpointError: the checkpoint of its frozen readings is not there any more.
        """
        from hf_ssl.stages.reading import frozen_rows

        module = self._module = self._module or self._loaded(task, dataset, head_pooling)
        rows: dict[str, Any] = dict(frozen_rows(module, task.encode(module.encoder, dataset)))
        states = {view.name: view.state for view in self.views}
        for one in task.modality.cheap_features():
            if one.name in states:
                one.restore(states[one.name])
                rows[one.name] = one.rows(task.inputs(dataset))
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

    def _loaded(self, task: Task[Any], dataset: datasets.Dataset, head_pooling: str) -> TaskModule:
        from hf_ssl.tasks.base import TaskModule

        encoder = task.modality.load(
            self.ref, task.auto_class, dataset=dataset, pooling=task.pooling, new_head=True, **task.model_options()
        )  # fmt: skip
        if head_pooling == "encoder":
            encoder.adapt_head()
        encoder.model.load_state_dict(self.extra, strict=False)
        return TaskModule(encoder, task)


def kept_teacher(folder: Path) -> Teacher | None:
    """What fine-tuning kept in its folder, if it did."""
    return Teacher.load(folder / FOLDER) if (folder / FOLDER / SETTINGS).is_file() else None
