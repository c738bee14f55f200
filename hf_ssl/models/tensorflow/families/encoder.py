"""What BERT and its kin share: two ways of naming their variables, and what their configurations are made of.

The newer names are those of the TensorFlow Model Garden, whose exporter wrote TensorFlow Hub's models
(official/nlp/modeling/networks/bert_encoder.py); the older are those of google-research/bert, /albert and /electra.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hf_ssl.core.errors import CheckpointError
from hf_ssl.models.tensorflow import tokenizers
from hf_ssl.models.tensorflow.families.base import FLAT, HEADS_IN, HEADS_OUT, Family, Rule, dense, norm

HUB_QUERY = r"(?:transformer/)?layer_(\d+)/self_attention/query/kernel"
HUB_LAYER = r"(?:transformer/)?layer_(\d+)"


class Transformer(Family):
    """A text encoder of the BERT kind; a subclass says under which prefix its tensors are."""

    gelu = (
        "gelu_new"  # what the program that trained it calls "gelu": the tanh form, except in google-research/electra
    )

    @property
    def hub(self) -> bool:
        """Whether the variables have the names of TensorFlow Hub's exporter, not the older ones."""
        return self.has(r"word_embeddings/embeddings")

    def hub_embeddings(self, prefix: str) -> list[Rule]:
        """Embeddings in the newer names."""
        return [
            Rule(r"word_embeddings/embeddings", f"{prefix}embeddings.word_embeddings.weight"),
            Rule(r"position_embedding/embeddings", f"{prefix}embeddings.position_embeddings.weight"),
            Rule(r"type_embeddings/embeddings", f"{prefix}embeddings.token_type_embeddings.weight"),
            *norm("embeddings/layer_norm", f"{prefix}embeddings.LayerNorm"),
        ]

    def old_embeddings(self, scope: str, prefix: str) -> list[Rule]:
        """Embeddings in the older names."""
        return [
            *(Rule(f"{scope}/{kind}_embeddings", f"{prefix}embeddings.{kind}_embeddings.weight")
              for kind in ("word", "position", "token_type")),
            *norm(f"{scope}/LayerNorm", f"{prefix}embeddings.LayerNorm"),
        ]  # fmt: skip

    def hub_layers(self, prefix: str) -> list[Rule]:
        """Layers in the newer names, whose kernels keep the heads apart."""
        key = rf"{prefix}encoder.layer.\1"
        parts = [
            rule
            for part in ("query", "key", "value")
            for rule in (
                Rule(f"{HUB_LAYER}/self_attention/{part}/kernel", f"{key}.attention.self.{part}.weight", HEADS_OUT),
                Rule(f"{HUB_LAYER}/self_attention/{part}/bias", f"{key}.attention.self.{part}.bias", FLAT),
            )
        ]
        return [
            *parts,
            Rule(
                f"{HUB_LAYER}/self_attention/attention_output/kernel", f"{key}.attention.output.dense.weight", HEADS_IN
            ),
            Rule(f"{HUB_LAYER}/self_attention/attention_output/bias", f"{key}.attention.output.dense.bias"),
            *norm(f"{HUB_LAYER}/self_attention_layer_norm", f"{key}.attention.output.LayerNorm"),
            *dense(f"{HUB_LAYER}/intermediate", f"{key}.intermediate.dense"),
            *dense(f"{HUB_LAYER}/output", f"{key}.output.dense"),
            *norm(f"{HUB_LAYER}/output_layer_norm", f"{key}.output.LayerNorm"),
        ]

    def old_layers(self, scope: str, prefix: str) -> list[Rule]:
        """Layers in the older names."""
        layer, key = rf"{scope}/encoder/layer_(\d+)", rf"{prefix}encoder.layer.\1"
        return [
            *(rule for part in ("query", "key", "value")
              for rule in dense(f"{layer}/attention/self/{part}", f"{key}.attention.self.{part}")),
            *dense(f"{layer}/attention/output/dense", f"{key}.attention.output.dense"),
            *norm(f"{layer}/attention/output/LayerNorm", f"{key}.attention.output.LayerNorm"),
            *dense(f"{layer}/intermediate/dense", f"{key}.intermediate.dense"),
            *dense(f"{layer}/output/dense", f"{key}.output.dense"),
            *norm(f"{layer}/output/LayerNorm", f"{key}.output.LayerNorm"),
        ]  # fmt: skip

    # What configurations are made of.

    def heads(self, width: int) -> int:
        """Number of attention heads: from a kernel that keeps them apart, the file beside it, or 64 numbers a head."""
        if self.options.num_heads:
            heads, told = self.options.num_heads, True
        elif self.hub:
            return self.shape(r"self_attention/query/kernel")[1]
        else:
            told = self.setting("num_attention_heads") is not None
            heads = int(self.setting("num_attention_heads")) if told else max(width // 64, 1)
        if heads < 1 or width % heads:
            raise CheckpointError(
                f"{self.source.given}: {width} numbers do not divide into {heads} heads. Give --num_heads."
            )
        if not told:
            self.notes.append(
                f"no file says how many attention heads there are: {heads}, of {width // heads} numbers each, was assumed "
                "(--num_heads says otherwise)"
            )
        return heads

    def agree(self, sizes: dict[str, int]) -> None:
        """Compare sizes of the variables with the configuration beside them.

        Raises:
            CheckpointError: it says others, so it is another model's, and what it alone says would be too.
        """
        for name, size in sizes.items():
            said = self.setting(name)
            if said is not None and said != size:
                raise CheckpointError(
                    f"{self.source.given}: its configuration says {name} {said}, its variables say {size}: it is another model's. "
                    "Put the right one beside the checkpoint, or none."
                )

    def activation(self) -> str:
        """The feed-forward activation in transformers' words."""
        if self.options.hidden_act:
            return self.options.hidden_act
        if self.source.graph is not None and self.source.graph.activation():
            return str(self.source.graph.activation())
        given = str(self.setting("hidden_act") or "gelu")
        return self.gelu if given == "gelu" else given

    def epsilon(self) -> float:
        """What layer normalization adds: from the graph, else the 1e-12 of all these programs."""
        found = self.source.graph.epsilon() if self.source.graph is not None else None
        return found if found is not None else 1e-12

    def common(self, width: int, feed_forward: int) -> dict[str, Any]:
        """Fields that the configurations of the family share."""
        dropouts = ("hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range")
        sizes = {
            "hidden_size": width, "intermediate_size": feed_forward, "vocab_size": self.shape(self.words)[0],
            "max_position_embeddings": self.shape(self.positions)[0], "type_vocab_size": self.shape(self.kinds)[0],
        }  # fmt: skip
        if self.part in (None, "discriminator"):  # a generator's configuration is a fraction of the one beside it
            self.agree(sizes)
        return {
            **sizes, "num_attention_heads": self.heads(width), "hidden_act": self.activation(), "layer_norm_eps": self.epsilon(),
            **{name: self.setting(name) for name in dropouts if self.setting(name) is not None},
        }  # fmt: skip

    @property
    def words(self) -> str:
        return r"word_embeddings/embeddings" if self.hub else r"embeddings/word_embeddings"

    @property
    def positions(self) -> str:
        return r"position_embedding/embeddings" if self.hub else r"embeddings/position_embeddings"

    @property
    def kinds(self) -> str:
        return r"type_embeddings/embeddings" if self.hub else r"embeddings/token_type_embeddings"

    def word_pieces(self) -> tokenizers.WordPieces:
        """The vocabulary beside the checkpoint."""
        lower = self.options.do_lower_case
        if lower is None and self.has("do_lower_case"):
            lower = bool(self.source.values(self.named("do_lower_case")))
        if lower is None:
            lower = self.setting("do_lower_case")
        made = tokenizers.word_pieces(self.source, self.shape(self.words)[0], lower)
        self.notes += made.notes
        return made

    def save_processor(self, folder: Path) -> None:
        self.word_pieces().save(folder, self.shape(self.positions)[0])

    def outputs(self) -> dict[str, str]:
        return {"sequence_output": "last_hidden_state", "pooled_output": "pooler_output", "mlm_logits": "logits"}
