"""What every pipeline tells: whether it answers as the run's model did, and the lines that use it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from transformers import BatchEncoding, PreTrainedModel

    from hf_ssl.modalities.encoder import Processor


TEXT = "The bridge was closed after the storm."
ANSWERS = "answers"


class Serving(Protocol):
    """What is asked of a `transformers.Pipeline`; which of its parts are there depends on its kind."""

    model: Any
    tokenizer: Any
    feature_extractor: Any
    image_processor: Any

    def __call__(self, value: object, /, **options: object) -> Any: ...


class ServedPipeline(ABC):
    """One pipeline; the file has its tag for a name (`text_classification.py`), or a task names it by dotted path.

    Attributes:
        tag: as `transformers.pipeline` and the Hub know it.
        component: the Gradio component that takes its input, for a demo; None: there is no demo.
        requirements: packages that the demo needs besides torch and transformers.
    """

    tag: ClassVar[str]
    component: ClassVar[str | None] = None
    requirements: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def compare(self, serve: Serving, value: Any, expected: np.ndarray) -> dict[str, float]:
        """How far the pipeline's answer to one value is from that of the run's model.

        Args:
            serve: `transformers.pipeline(tag, model=folder)`.
            expected: first output of the run's model for the value, without the batch axis.

        Returns:
            what was compared (`"answers"`, or other words for more than one thing) → `difference` of it.
        """

    @abstractmethod
    def usage(self, repo: str, rate: int | None) -> str:
        """Three lines that load the repository and print an answer.

        Args:
            rate: samples a second, of sounds.
        """

    def ask(self, value: Any, processor: Processor | None) -> Any:
        """A value made ready to be asked about; as it is, mostly."""
        return value

    def class_names(self, serve: Serving) -> list[str] | None:
        """Names of the classes in the order of the outputs, when that order has to be the run's."""
        return None

    def write_example(self, value: Any, rate: int | None) -> None:
        """Write the file that the usage lines read, if they read one, into the working folder."""
        return


class Classification(ServedPipeline):
    """One score for every class."""

    example: ClassVar[str] = TEXT

    def compare(self, serve: Serving, value: Any, expected: np.ndarray) -> dict[str, float]:
        answer = serve(value, function_to_apply="none", top_k=serve.model.config.num_labels)
        names = serve.model.config.id2label  # of ImageNet's, two are `crane`: pairs, not a mapping
        wanted = sorted((names[index], float(score)) for index, score in enumerate(expected))
        got = sorted((row["label"], row["score"]) for row in answer)
        if [name for name, _ in wanted] != [name for name, _ in got]:
            return {ANSWERS: float("inf")}
        return {ANSWERS: difference(*(np.array([score for _, score in pairs]) for pairs in (got, wanted)))}

    def class_names(self, serve: Serving) -> list[str] | None:
        return [serve.model.config.id2label[index] for index in range(serve.model.config.num_labels)]

    def usage(self, repo: str, rate: int | None) -> str:
        return (
            "from transformers import pipeline\n"
            f'classify = pipeline("{self.tag}", model="{repo}")\n'
            f'print(classify("{self.example}"))'
        )


def find_pipeline(tag: str | None) -> ServedPipeline | None:
    """What is known of a pipeline; None: nothing, so a model is tried through its class alone.

    Args:
        tag: `"text-classification"`, or `"package.module:Class"` for one's own.

    Raises:
        ConfigError: the dotted path leads to nothing.
    """
    if tag is None or (":" not in tag and tag not in plugins.names("pipelines")):
        return None
    found: ServedPipeline = plugins.find("pipelines", tag)()
    if not found.tag:
        raise ConfigError(f"{tag!r} names no pipeline of transformers: give the class a `tag`.")
    return found


def difference(got: np.ndarray, wanted: np.ndarray) -> float:
    """Largest difference, relative to the largest value; infinite where shapes differ or a number is not finite."""
    if got.shape != wanted.shape or not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - wanted).max() / max(float(np.abs(wanted).max()), 1e-12))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis."""
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def logits_of(model: PreTrainedModel, inputs: BatchEncoding) -> np.ndarray:
    """What the pipeline's own model says to what its own processor made of one value."""
    import torch

    with torch.no_grad():
        return model(**inputs.convert_to_tensors("pt")).logits[0].float().numpy()


def save_picture(value: Picture) -> None:
    """`photo.png`, of which the usage lines of images speak."""
    value.save("photo.png")


def save_clip(value: np.ndarray, rate: int | None) -> None:
    """`clip.wav`, of which the usage lines of sounds speak: mono, 16 bits."""
    import wave

    with wave.open("clip.wav", "wb") as file:
        file.setparams((1, 2, rate or 16_000, 0, "NONE", ""))
        file.writeframes((np.clip(value, -1, 1) * 32767).astype("<i2").tobytes())


def listening(verb: str, tag: str, repo: str, rate: int | None) -> str:
    """Usage lines of sounds: samples rather than a file's name, which would need ffmpeg."""
    return (
        "import soundfile, transformers\n"
        f'{verb} = transformers.pipeline("{tag}", model="{repo}")\n'
        f'print({verb}(soundfile.read("clip.wav", dtype="float32")[0]))  # mono, {rate or 16_000:,} samples a second'
    )
