"""A Gradio demo of a published model: three files for a Space, the app tried before it leaves."""

from __future__ import annotations

from pathlib import Path

import yaml

from hf_ssl.core import plugins
from hf_ssl.core.errors import HubError
from hf_ssl.hub.card import CardFields
from hf_ssl.hub.metadata import split_license
from hf_ssl.hub.pipelines.base import find_pipeline

APP = '''"""A demo of {repo}."""

import gradio as gr
from transformers import pipeline

classify = pipeline("{tag}", model="{repo}")


def answer(given):
    """Label → probability."""
    return {{row["label"]: row["score"] for row in classify(given, top_k=None)}}


demo = gr.Interface(answer, {component}, gr.Label(num_top_classes=5), title="{title}", flagging_mode="never")

if __name__ == "__main__":
    demo.launch()
'''


def stage_space(folder: Path, facts: CardFields) -> None:
    """Write app.py, requirements.txt and README.md.

    Raises:
        HubError: there is no demo for this kind of model.
    """
    served = find_pipeline(facts.pipeline_tag)
    if served is None or served.component is None or facts.kind != "model":
        kinds = ((tag, find_pipeline(tag)) for tag in plugins.names("pipelines"))
        known = ", ".join(tag for tag, kind in kinds if kind is not None and kind.component is not None)
        raise HubError(f"There is a demo for {known}; this is {facts.pipeline_tag or facts.kind}. Omit --space.")
    title = (facts.title or facts.repo.partition("/")[2]).replace('"', "'").replace("\\", "/")
    code = APP.format(repo=facts.repo, tag=served.tag, component=served.component, title=title)
    compile(code, "app.py", "exec")  # a title must not have broken it
    (folder / "app.py").write_text(code, encoding="utf-8")
    (folder / "requirements.txt").write_text(
        "\n".join(["torch", "transformers>=5", *served.requirements, ""]), encoding="utf-8"
    )
    fields = {
        "title": title,
        "sdk": "gradio",
        "app_file": "app.py",
        "models": [facts.repo],
        "tags": ["hf_ssl"],
        **split_license(facts.license),
    }
    (folder / "README.md").write_text(
        f"---\n{yaml.safe_dump(fields)}---\n\nA demo of {facts.repo}.\n", encoding="utf-8"
    )
