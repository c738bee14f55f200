"""BERT: the models of google-research/bert and of TensorFlow Hub, small BERTs and BERT experts among them."""

from __future__ import annotations

from transformers import BertConfig

from hf_ssl.models.tensorflow.families.base import LeftOut, Rule, dense, norm
from hf_ssl.models.tensorflow.families.encoder import HUB_QUERY, Transformer


class Bert(Transformer):
    """BERT with its pooler, and with the heads for masked words and for the next sentence where they were exported."""

    title = "BERT"
    recognizes = (
        rf"({HUB_QUERY}|bert/encoder/layer_0/attention/self/query/kernel)",
        r"(word_embeddings/embeddings|bert/embeddings/word_embeddings)",
    )
    foreign = (r"(embedding_projection|embeddings_project)/kernel",)

    def rules(self) -> list[Rule]:
        head = [
            *dense("cls/predictions/transform/dense", "cls.predictions.transform.dense"),
            *norm("cls/predictions/transform/LayerNorm", "cls.predictions.transform.LayerNorm"),
            Rule("cls/predictions/output_bias(/bias)?", "cls.predictions.bias"),
            Rule("cls/seq_relationship/output_weights", "cls.seq_relationship.weight"),
            Rule("cls/seq_relationship/output_bias", "cls.seq_relationship.bias"),
        ]
        if self.hub:
            body = [
                *self.hub_embeddings("bert."),
                *self.hub_layers("bert."),
                *dense("pooler_transform", "bert.pooler.dense"),
            ]
        else:
            body = [*self.old_embeddings("bert/embeddings", "bert."), *self.old_layers("bert", "bert."),
                    *dense("bert/pooler/dense", "bert.pooler.dense")]  # fmt: skip
        return [*head, *body]

    def leaves_out(self) -> list[LeftOut]:
        # Fine-tuned by google-research/bert, run_classifier.py; the heads of pre-training end so, too, in a scope of theirs.
        own = r"(?<!predictions/)(?<!seq_relationship/)output_(weights|bias)"
        return [LeftOut(own, "a classifier with labels of its own")]

    def architecture(self) -> str:
        if self.has("cls/seq_relationship/output_weights"):
            return "BertForPreTraining"
        return "BertForMaskedLM" if self.has("cls/predictions/output_bias(/bias)?") else "BertModel"

    def config(self) -> BertConfig:
        width = self.shape(self.words)[1]
        layers = (
            self.count(HUB_QUERY) if self.hub else self.count(r"bert/encoder/layer_(\d+)/attention/self/query/kernel")
        )
        self.agree({"num_hidden_layers": layers})
        ends = r"layer_0/intermediate/kernel" if self.hub else r"layer_0/intermediate/dense/kernel"
        return BertConfig(
            num_hidden_layers=layers, pad_token_id=self.word_pieces().id_of("[PAD]"), **self.common(width, self.shape(ends)[1])
        )  # fmt: skip
