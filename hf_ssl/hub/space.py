"""A Gradio demo of a published model: three files for a Space, the app tried before it leaves."""

from __future__ import annotations

from pathlib import Path

import yaml

from hf_ssl.core.errors import HubError
from hf_ssl.hub.card import CardFields, split_license

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
COMPONENTS = {
    "text-classification": 'gr.Textbox(lines=4, label="Text")',
    "image-classification": 'gr.Image(type="pil", label="Image")',
    "audio-classification": 'gr.Audio(type="filepath", label="Sound")',
}


def stage_space(folder: Path, facts: CardFields) -> None:
    """Write app.py, requirements.txt and README.md.

    Raises:
        HubError: there is no demo for this kind of model.
    """
    if facts.pipeline_tag not in COMPONENTS or facts.kind != "model":
        raise HubError(
            f"There is a demo for {', '.join(COMPONENTS)}; this is {facts.pipeline_tag or facts.kind}. Leave --space away."
        )
    title = (facts.title or facts.repo.partition("/")[2]).replace('"', "'").replace("\\", "/")
    code = APP.format(repo=facts.repo, tag=facts.pipeline_tag, component=COMPONENTS[facts.pipeline_tag], title=title)
    compile(code, "app.py", "exec")  # a title must not have broken it
    extra = {"image-classification": "pillow\n", "audio-classification": "librosa\n"}.get(facts.pipeline_tag, "")
    (folder / "app.py").write_text(code, encoding="utf-8")
    (folder / "requirements.txt").write_text(f"torch\ntransformers>=5\n{extra}", encoding="utf-8")
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
