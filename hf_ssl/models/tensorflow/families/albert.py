"""ALBERT: the models of google-research/albert and of TensorFlow Hub; one layer, applied again and again."""

from __future__ import annotations

from pathlib import Path

from transformers import AlbertConfig

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow import tokenizers
from hf_ssl.models.tensorflow.families.base import FLAT, HEADS_IN, HEADS_OUT, Rule, dense, norm
from hf_ssl.models.tensorflow.families.encoder import Transformer

_LAYER = "albert.encoder.albert_layer_groups.0.albert_layers.0"
_OLD = "encoder/transformer/group_0/inner_group_0"
# How often the released models apply their layer (google-research/albert, README): no variable tells.
_RELEASED = {768: 12, 1024: 24, 2048: 24, 4096: 12}


class Albert(Transformer):
    """ALBERT with its pooler, and with the heads for masked words and sentence order where they were exported."""

    title = "ALBERT"
    recognizes = (
        rf"(transformer/self_attention/query/kernel|{_OLD}/attention_1/self/query/kernel)",
        r"(embedding_projection|embedding_hidden_mapping_in)/kernel",
    )

    def rules(self) -> list[Rule]:
        head = [
            *dense("cls/predictions/transform/dense", "predictions.dense"),
            *norm("cls/predictions/transform/LayerNorm", "predictions.LayerNorm"),
            Rule("cls/predictions/output_bias(/bias)?", "predictions.bias"),
            Rule("cls/seq_relationship/output_weights", "sop_classifier.classifier.weight"),
            Rule("cls/seq_relationship/output_bias", "sop_classifier.classifier.bias"),
        ]
        return [*head, *(self._hub() if self.hub else self._old())]

    def _hub(self) -> list[Rule]:
        attention = r"transformer/self_attention"
        parts = [
            rule
            for part in ("query", "key", "value")
            for rule in (Rule(f"{attention}/{part}/kernel", f"{_LAYER}.attention.{part}.weight", HEADS_OUT),
                         Rule(f"{attention}/{part}/bias", f"{_LAYER}.attention.{part}.bias", FLAT))
        ]  # fmt: skip
        return [
            *self.hub_embeddings("albert."),
            *dense("embedding_projection", "albert.encoder.embedding_hidden_mapping_in"),
            *parts,
            Rule(f"{attention}/attention_output/kernel", f"{_LAYER}.attention.dense.weight", HEADS_IN),
            Rule(f"{attention}/attention_output/bias", f"{_LAYER}.attention.dense.bias"),
            *norm("transformer/self_attention_layer_norm", f"{_LAYER}.attention.LayerNorm"),
            *dense("transformer/intermediate", f"{_LAYER}.ffn"),
            *dense("transformer/output", f"{_LAYER}.ffn_output"),
            *norm("transformer/output_layer_norm", f"{_LAYER}.full_layer_layer_norm"),
            *dense("pooler_transform", "albert.pooler"),
        ]

    def _old(self) -> list[Rule]:
        return [
            *self.old_embeddings("bert/embeddings", "albert."),
            *dense("bert/encoder/embedding_hidden_mapping_in", "albert.encoder.embedding_hidden_mapping_in"),
            *(rule for part in ("query", "key", "value")
              for rule in dense(f"{_OLD}/attention_1/self/{part}", f"{_LAYER}.attention.{part}")),
            *dense(f"{_OLD}/attention_1/output/dense", f"{_LAYER}.attention.dense"),
            *norm(f"{_OLD}/LayerNorm", f"{_LAYER}.attention.LayerNorm"),
            *dense(f"{_OLD}/ffn_1/intermediate/dense", f"{_LAYER}.ffn"),
            *dense(f"{_OLD}/ffn_1/intermediate/output/dense", f"{_LAYER}.ffn_output"),
            *norm(f"{_OLD}/LayerNorm_1", f"{_LAYER}.full_layer_layer_norm"),
            *dense("bert/pooler/dense", "albert.pooler"),
        ]  # fmt: skip

    def architecture(self) -> str:
        if self.has("cls/seq_relationship/output_weights"):
            return "AlbertForPreTraining"
        return "AlbertForMaskedLM" if self.has("cls/predictions/output_bias(/bias)?") else "AlbertModel"

    def config(self) -> AlbertConfig:
        wide = "transformer/intermediate/kernel" if self.hub else f"{_OLD}/ffn_1/intermediate/dense/kernel"
        width, feed_forward = self.shape(wide)
        pieces = self.pieces()
        return AlbertConfig(
            num_hidden_layers=self._layers(width), embedding_size=self.shape(self.words)[1], num_hidden_groups=1,
            inner_group_num=1, pad_token_id=pieces.id_of("<pad>"), bos_token_id=pieces.id_of("[CLS]"),
            eos_token_id=pieces.id_of("[SEP]"), **self.common(width, feed_forward),
        )  # fmt: skip

    def _layers(self, width: int) -> int:
        given = self.options.num_layers or self.setting("num_hidden_layers")
        if given:
            return int(given)
        if self.source.graph is not None and self.source.graph.most_softmaxes:
            return self.source.graph.most_softmaxes  # one a layer
        if width in _RELEASED:
            self.notes.append(
                f"applied {_RELEASED[width]} times, as the released model of width {width}: no file says so"
            )
            return _RELEASED[width]
        raise CheckpointError(
            f"{self.source.given}: how often ALBERT's one layer is applied stands in no variable. Put albert_config.json beside "
            "the checkpoint, or give --num_layers."
        )

    def pieces(self) -> tokenizers.Pieces:
        """The SentencePiece vocabulary beside the checkpoint."""
        lower = self.options.do_lower_case
        made = tokenizers.pieces(self.source, self.shape(self.words)[0], True if lower is None else lower)
        self.notes += made.notes
        return made

    def save_processor(self, folder: Path) -> None:
        self.pieces().save(folder, self.shape(self.positions)[0])
