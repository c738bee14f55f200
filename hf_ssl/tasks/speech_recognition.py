"""What is said: transcripts by connectionist temporal classification."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch.nn import functional

from hf_ssl.core.errors import ConfigError, DataError
from hf_ssl.evaluation.metrics import metrics
from hf_ssl.evaluation.metrics.speech import plain
from hf_ssl.modalities.audio import backbones
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.encoder import Processor
from hf_ssl.models.structure import unwrap_peft
from hf_ssl.tasks.base import Task

if TYPE_CHECKING:
    import datasets

    from hf_ssl.modalities.base import Modality

BLANK, UNKNOWN, SPACE = "<pad>", "<unk>", "|"


class SpeechRecognition(Task[AudioEncoder]):
    """Speech recognition with a character head.

    Loss: CTC (Graves et al. 2006), `-log p(transcript)` summed over all alignments, per character of the transcripts. A
    clip with fewer frames than its transcript needs has no alignment and counts as 0.

    The alphabet is that of the training transcripts, in lower case and without punctuation; the head is new. Measured
    are word and character error rate over the whole split, on the same form of both texts.
    """

    needs: ClassVar = AudioEncoder
    label_kind: ClassVar = "transcript"
    is_default: ClassVar = True
    primary_metric: ClassVar = "cer_plain"
    greater_is_better: ClassVar = False
    metric_names: ClassVar = ("wer_plain", "cer_plain", "wer", "cer")

    @dataclass
    class Config(Task.Config):
        """Options of `speech-recognition`."""

    config: Config

    def __init__(self, config: Config, modality: Modality) -> None:
        super().__init__(config, modality)
        self.numbers: dict[str, int] = {}

    @property
    def auto_class(self) -> str:
        return "AutoModelForCTC"

    @property
    def pipeline_tag(self) -> str | None:
        return "automatic-speech-recognition"

    @property
    def comparison_metric(self) -> str:
        return "cer_plain"

    def fit_labels(self, train: datasets.Dataset, label_names: Sequence[str] | None = None) -> None:
        super().fit_labels(train)
        letters = sorted({c for text in train[self.label_column] for c in plain(text)} - {" "})
        if not letters:
            raise DataError("The training transcripts hold no letters.")
        self.numbers = {symbol: number for number, symbol in enumerate([BLANK, UNKNOWN, SPACE, *letters])}
        self.label_names = list(self.numbers)

    def take_labels(self, names: Sequence[str]) -> None:
        super().take_labels(names)
        self.numbers = {symbol: number for number, symbol in enumerate(names)}

    def model_options(self) -> dict[str, Any]:
        return {"vocab_size": len(self.numbers), "pad_token_id": self.numbers[BLANK]}

    def max_length(self, encoder: AudioEncoder) -> int | None:
        return self.config.max_length

    def encode(self, encoder: AudioEncoder, dataset: datasets.Dataset) -> list[dict[str, Any]]:
        features = super().encode(encoder, dataset)
        for feature in features:
            if "labels" in feature:
                feature["labels"] = self.ids(feature["labels"])
        return features

    def ids(self, text: str) -> list[int]:
        """Numbers of a transcript's characters."""
        return [self.numbers.get(SPACE if c == " " else c, self.numbers[UNKNOWN]) for c in plain(text)]

    def text(self, ids: Sequence[int]) -> str:
        """Text of numbers; what is no character is left out."""
        symbols = (self.label_names[number] for number in ids)
        return "".join(" " if s == SPACE else s for s in symbols if s not in (BLANK, UNKNOWN)).strip()

    def collate_labels(self, features: Sequence[dict[str, Any]], batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        longest = max(1, *(len(feature["labels"]) for feature in features))
        labels = torch.full((len(features), longest), -100)
        for row, feature in enumerate(features):
            labels[row, : len(feature["labels"])] = torch.tensor(feature["labels"], dtype=torch.long)
        return labels

    def forward(self, encoder: AudioEncoder, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        """`(clips, frames, symbols)`. Frames of padding say blank for certain: to CTC they are not there."""
        config: Any = unwrap_peft(encoder.model).config
        sound = inputs["attention_mask"]
        if not backbones.is_waveform(config):
            raise ConfigError(
                f"speech-recognition needs an encoder of waveforms; this is a {config.model_type} model."
            )
        logits = encoder.model(inputs["input_values"], attention_mask=backbones._needed(config, sound)).logits
        frames = backbones.frame_count(config, sound.sum(1))
        padding = torch.arange(logits.shape[1], device=logits.device) >= frames[:, None]
        silent = torch.full_like(logits[0, 0], -1e4)
        silent[self.numbers[BLANK]] = 0.0
        return torch.where(padding[..., None], silent, logits)

    def loss(self, logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        counted = labels != -100
        chances = functional.log_softmax(logits, dim=-1).transpose(0, 1)
        frames = torch.full((len(labels),), logits.shape[1], dtype=torch.long)
        total = functional.ctc_loss(
            chances, labels.clamp(min=0), frames, counted.sum(1).cpu(), blank=self.numbers[BLANK], reduction="sum",
            zero_infinity=True,
        )  # fmt: skip
        return total, counted.sum()

    def transcripts(self, logits: np.ndarray) -> list[str]:
        """The best symbol of every frame, repetitions and blanks taken out."""
        texts = []
        for row in logits.argmax(-1):
            kept = row[np.append(True, row[1:] != row[:-1])]
            texts.append(self.text(kept[kept != self.numbers[BLANK]].tolist()))
        return texts

    def metrics(self, logits: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        wanted = [self.text(row[row != -100].tolist()) for row in labels]
        return metrics.compute(self.metric_names, predictions=self.transcripts(logits), references=wanted)

    def predictions(self, logits: np.ndarray, dataset: datasets.Dataset, encoder: AudioEncoder) -> list[Any]:
        return [{"prediction": text} for text in self.transcripts(logits)]

    def comparison_predictions(
        self, logits: np.ndarray, dataset: datasets.Dataset, encoder: AudioEncoder
    ) -> list[str]:
        """What the error rates read as predictions."""
        return self.transcripts(logits)

    def comparison_references(self, dataset: datasets.Dataset) -> list[str]:
        """What the error rates read as the truth."""
        return list(dataset[self.label_column])

    def saved_processor(self, encoder: AudioEncoder) -> Processor | None:
        """Feature extractor and character tokenizer as one, as the pipeline wants them."""
        from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2Processor

        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "vocab.json"
            file.write_text(json.dumps(self.numbers, ensure_ascii=False), encoding="utf-8")
            tokenizer = Wav2Vec2CTCTokenizer(
                str(file),
                bos_token=None,
                eos_token=None,
                pad_token=BLANK,
                unk_token=UNKNOWN,
                word_delimiter_token=SPACE,
            )
        return Wav2Vec2Processor(feature_extractor=encoder.processor, tokenizer=tokenizer)
