"""ELECTRA: discriminator and generator of google-research/electra, and the encoders of TensorFlow Hub."""

from __future__ import annotations

from transformers import ElectraConfig

from hf_ssl.models.tensorflow.families.base import LeftOut, Rule, dense, norm
from hf_ssl.models.tensorflow.families.encoder import HUB_QUERY, Transformer


class Electra(Transformer):
    """ELECTRA's discriminator with its head, or its generator with the head for masked words (`--part generator`).

    The generator shares the discriminator's embeddings unless the checkpoint has some of its own.
    """

    title = "ELECTRA"
    recognizes = (
        rf"({HUB_QUERY}|electra/encoder/layer_0/attention/self/query/kernel)",
        r"(word_embeddings/embeddings|electra/embeddings/word_embeddings)",
        # TensorFlow Hub's has the same names as BERT; narrower embeddings tell them apart.
        r"(embedding_projection/kernel|electra/encoder/layer_0/attention/self/query/kernel)",
    )
    parts = ("discriminator", "generator")
    gelu = "gelu"  # its program computes the exact form

    @property
    def scope(self) -> str:
        return "electra" if self.part == "discriminator" else "generator"

    @property
    def embeddings(self) -> str:
        own = f"{self.scope}/embeddings"
        return own if self.has(f"{own}/word_embeddings") else "electra/embeddings"

    @property
    def words(self) -> str:
        return super().words if self.hub else f"{self.embeddings}/word_embeddings"

    def rules(self) -> list[Rule]:
        if self.hub:
            return [*self.hub_embeddings("electra."), *dense("embedding_projection", "electra.embeddings_project"),
                    *self.hub_layers("electra.")]  # fmt: skip
        body = [
            *self.old_embeddings(self.embeddings, "electra."),
            *dense(f"{self.scope}/embeddings_project", "electra.embeddings_project"),
            *self.old_layers(self.scope, "electra."),
        ]
        if self.part == "generator":
            return [*body, *norm("generator_predictions/LayerNorm", "generator_predictions.LayerNorm"),
                    *dense("generator_predictions/dense", "generator_predictions.dense"),
                    Rule("generator_lm_head/bias", "generator_lm_head.bias")]  # fmt: skip
        return [*body, *dense("discriminator_predictions/dense", "discriminator_predictions.dense"),
                *dense("discriminator_predictions/dense_1", "discriminator_predictions.dense_prediction")]  # fmt: skip

    def leaves_out(self) -> list[LeftOut]:
        if self.hub:
            return [
                LeftOut(
                    r"pooler_transform/(kernel|bias)", "ELECTRA has no pooler in transformers (it was never trained)"
                )
            ]
        if self.part == "generator":
            own = r"(encoder|embeddings_project|embeddings)" if self.embeddings.startswith("generator") else (
                r"(encoder|embeddings_project)")  # fmt: skip
            return [
                LeftOut(
                    rf"(electra/{own}|discriminator_predictions)/.*",
                    "the discriminator: --part discriminator takes it",
                )
            ]
        return [
            LeftOut(
                r"(generator|generator_predictions|generator_lm_head)/.*", "the generator: --part generator takes it"
            )
        ]

    def architecture(self) -> str:
        if self.hub:
            return "ElectraModel"
        return "ElectraForPreTraining" if self.part == "discriminator" else "ElectraForMaskedLM"

    def config(self) -> ElectraConfig:
        if self.hub:
            layers, wide = self.count(HUB_QUERY), r"layer_0/intermediate/kernel"
        else:
            layers = self.count(rf"{self.scope}/encoder/layer_(\d+)/attention/self/query/kernel")
            wide = f"{self.scope}/encoder/layer_0/intermediate/dense/kernel"
        width, feed_forward = self.shape(wide)
        if self.part == "discriminator":
            self.agree({"num_hidden_layers": layers})
        return ElectraConfig(
            num_hidden_layers=layers, embedding_size=self.shape(self.words)[1], summary_activation="gelu",
            pad_token_id=self.word_pieces().id_of("[PAD]"), **self.common(width, feed_forward),
        )  # fmt: skip
