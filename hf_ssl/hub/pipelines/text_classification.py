"""Texts and their classes."""

from __future__ import annotations

from typing import ClassVar

from hf_ssl.hub.pipelines.base import Classification


class TextClassification(Classification):
    """Shown on a sentence."""

    tag: ClassVar[str] = "text-classification"
    component: ClassVar[str | None] = 'gr.Textbox(lines=4, label="Text")'
