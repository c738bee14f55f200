"""The page: what is seen and where it stands. What happens is in `hf_ssl.ui.steps`."""

from __future__ import annotations

import time
import webbrowser
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hf_ssl.core import plugins
from hf_ssl.core.errors import HfSslError, require
from hf_ssl.ui import steps
from hf_ssl.ui.steps import Commands

if TYPE_CHECKING:
    import gradio

# Of ASGI.
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

HOST = "127.0.0.1"
# Whatever a library or a report may name: the browser asks nobody but this server.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self'; frame-ancestors 'none'"
)
FONT = ["system-ui", "sans-serif"]
MONO = ["ui-monospace", "monospace"]
STYLE = """
.gradio-container {max-width: min(60rem, 100vw) !important; margin: 0 auto}
.or {color: inherit !important}
.said textarea {font-family: ui-monospace, monospace; font-size: .8rem; white-space: pre; overflow-x: auto}
"""
ABOUT = """# hf_ssl
From a folder of your data to a model that was measured on it. Everything stays on this machine; only a model named by its Hub id is
fetched, and only **Publish** sends anything."""
# Gradio's own ways out: a tunnel, telemetry, an API page, kept runs, a server for assistants.
LAUNCH: dict[str, Any] = {
    "server_name": HOST, "share": False, "prevent_thread_lock": True, "quiet": True, "show_error": True, "ssr_mode": False,
    "run_history": False, "mcp_server": False, "enable_monitoring": False, "pwa": False, "footer_links": [],
}  # fmt: skip


def build(folder: str | Path = ".", commands: Commands | None = None) -> gradio.Blocks:
    """The page, not shown yet: `build().launch()`, or `serve()`, which keeps everything on this machine.

    Args:
        folder: whose folders and tables are offered for choice.
        commands: runs what trains; one of its own where none is given.

    Raises:
        MissingExtraError: gradio is not installed.
    """
    gr = require("gradio", "ui")
    commands = commands or Commands()
    with gr.Blocks(title="hf_ssl", analytics_enabled=False) as page:
        gr.Markdown(ABOUT)
        data = _data(gr, Path(folder))
        model = _model(gr, data, commands)
        run = _run(gr, data, model, commands)
        _result(gr, run)
        _trial(gr, run)
        _publication(gr, run, commands)
    return page


def serve(folder: str | Path = ".", port: int = 0, browser: bool = True) -> None:
    """Show the page at an address of this machine until Ctrl-C; a command that runs then is stopped as by Ctrl-C, too.

    Args:
        port: 0: the first free one from 7860 on.
        browser: open it in a browser.

    Raises:
        MissingExtraError: gradio is not installed.
        RunFolderError: the port is taken.
    """
    commands = Commands()
    page = build(folder, commands)
    address = launched(page, port)
    print(f"hf-ssl ui: {address} (this machine only; Ctrl-C ends it)", flush=True)
    if browser:
        webbrowser.open(address)
    try:
        while True:
            time.sleep(3600)
    finally:
        commands.close()
        page.close(verbose=False)


def launched(page: gradio.Blocks, port: int = 0) -> str:
    """Start the server of a page and return its address. Nothing is shared, counted, or loaded from elsewhere."""
    gr = require("gradio", "ui")
    middleware = require("starlette.middleware", "ui").Middleware(Local)
    # Colors of which every pair has the contrast that WCAG AA asks for.
    theme = gr.themes.Default(primary_hue="indigo", font=FONT, font_mono=MONO).set(
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_300", block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700", button_primary_background_fill="*primary_700", button_primary_text_color="white",
        button_primary_background_fill_hover="*primary_800", button_cancel_background_fill="#b91c1c", input_placeholder_color="*neutral_500",
        button_cancel_background_fill_hover="#991b1b",
    )  # fmt: skip
    _, address, _ = page.launch(
        **LAUNCH, theme=theme, css=STYLE, server_port=port or None, app_kwargs={"middleware": [middleware]}
    )
    return str(address)


class Local:
    """Adds the policy to every answer of the server (an ASGI middleware)."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, with_policy)


def _told(gr: ModuleType, error: HfSslError) -> Exception:
    """An error of ours as the page shows it: what to do, and the code to look up."""
    return gr.Error(f"{error} [{error.code}]", duration=None, print_exception=False)


def _data(gr: ModuleType, folder: Path) -> dict[str, Any]:
    gr.Markdown("## 1 · Data")
    with gr.Row():
        source = gr.Dropdown(
            steps.sources(folder), value="", label="Folder or file", allow_custom_value=True, scale=3,
            info="One of these, or type a path or a Hub id",
        )  # fmt: skip
        kind = gr.Dropdown(
            plugins.names("modalities"), value="text", label="Kind of data", info="Guessed from the files"
        )
        label = gr.Dropdown(
            [], value="", label="Label column", allow_custom_value=True, info="Empty: found by its name"
        )
    button = gr.Button("Read the data", variant="primary")
    warned = gr.Markdown(visible=False)
    splits = gr.Dataframe(
        headers=["part", "rows", "what they are like"], label="Parts", visible=False, interactive=False, wrap=True
    )
    text = gr.Textbox(label="Data report", lines=12, max_lines=24, visible=False, elem_classes="said")

    def read(source: str, kind: str, label: str) -> list[Any]:
        try:
            found = steps.read(source, kind, label)
        except HfSslError as error:
            raise _told(gr, error) from error
        notes = "\n".join(f"- ⚠ {one}" for one in found.warnings)
        return [
            gr.update(value=notes, visible=bool(notes)), gr.update(value=found.splits, visible=True),
            gr.update(value=found.text, visible=True), gr.update(choices=found.columns, value=found.label),
        ]  # fmt: skip

    source.change(lambda value: steps.kind_of(value) if value else "text", source, kind)
    button.click(read, [source, kind, label], [warned, splits, text, label])
    return {"source": source, "kind": kind, "label": label}


def _model(gr: ModuleType, data: dict[str, Any], commands: Commands) -> dict[str, Any]:
    gr.Markdown("## 2 · Model")
    known = steps.models_for("text")
    model = gr.Dropdown(
        known, value=known[0], label="Checkpoint", allow_custom_value=True, info="A Hub id or a folder of this machine"
    )
    button = gr.Button("How far is it from my data?")
    said = gr.Textbox(label="Gap", lines=8, max_lines=20, visible=False, elem_classes="said")

    def suggest(kind: str) -> Any:
        found = steps.models_for(kind)
        return gr.update(choices=found, value=found[0] if found else "")

    def gap(source: str, kind: str, label: str, model: str, output: str) -> Iterator[Any]:
        options = {**steps.data_options(source, kind, label), "model": model, "output": output}
        for text in _followed(gr, commands, "gap", options):
            yield gr.update(value=text, visible=True)

    data["kind"].change(suggest, data["kind"], model)
    return {"model": model, "button": button, "gap": gap, "said": said}


def _run(gr: ModuleType, data: dict[str, Any], model: dict[str, Any], commands: Commands) -> dict[str, Any]:
    gr.Markdown("## 3 · Adapt")
    with gr.Row():
        budget = gr.Textbox("10m", label="Time", info="Such as 90s, 30m, 2h")
        output = gr.Textbox("runs/ui", label="Run folder", info="Where results go")
        resume = gr.Checkbox(False, label="Go on", info="With what an earlier call has left")
    with gr.Row():
        button = gr.Button("Adapt", variant="primary")
        stop = gr.Button("Stop", variant="stop")
    said = gr.Textbox(
        label="Progress, and the same command for a terminal",
        lines=10,
        max_lines=24,
        elem_classes="said",
        autoscroll=True,
    )

    def adapt(source: str, kind: str, label: str, model: str, budget: str, output: str, resume: bool) -> Iterator[str]:
        options = {
            **steps.data_options(source, kind, label),
            "model": model,
            "budget": budget,
            "output": output,
            "resume": resume,
        }
        yield from _followed(gr, commands, "adapt", options)

    def stopped() -> None:
        gr.Info("Stopping: the best so far is kept." if commands.stop() else "Nothing is running.")

    given = [data["source"], data["kind"], data["label"], model["model"]]
    model["button"].click(model["gap"], [*given, output], model["said"], concurrency_limit=None)
    done = button.click(adapt, [*given, budget, output, resume], said, concurrency_limit=None)
    stop.click(stopped, None, None, concurrency_limit=None)
    return {"output": output, "done": done}


def _followed(gr: ModuleType, commands: Commands, verb: str, options: dict[str, Any]) -> Iterator[str]:
    try:
        yield from commands.follow(steps.command(verb, options))
    except HfSslError as error:
        raise _told(gr, error) from error


def _result(gr: ModuleType, run: dict[str, Any]) -> None:
    gr.Markdown("## 4 · Result")
    button = gr.Button("Show the report")
    tried = gr.Dataframe(
        headers=["way", "score", "time", "outcome"],
        label="What was tried",
        visible=False,
        interactive=False,
        wrap=True,
    )
    report = gr.HTML()

    def show(output: str) -> list[Any]:
        try:
            rows = steps.outcome(output)
            return [gr.update(value=rows, visible=bool(rows)), steps.framed_report(output)]
        except HfSslError as error:
            raise _told(gr, error) from error

    button.click(show, run["output"], [tried, report])
    run["done"].then(show, run["output"], [tried, report])


def _trial(gr: ModuleType, run: dict[str, Any]) -> None:
    gr.Markdown("## 5 · Try it")
    with gr.Row():
        text = gr.Textbox(label="A text", lines=3)
        file = gr.File(label="… or a picture, a recording, a table of series", type="filepath", height=160)
    button = gr.Button("Ask the model", variant="primary")
    chances = gr.Label(label="Answer", num_top_classes=5, visible=False)
    rows = gr.Dataframe(
        headers=["what", "value"], label="All that it says", visible=False, interactive=False, wrap=True
    )

    def ask(output: str, text: str, file: str | None) -> list[Any]:
        try:
            found, table = steps.answer(output, text, file)
        except HfSslError as error:
            raise _told(gr, error) from error
        return [gr.update(value=found or None, visible=bool(found)), gr.update(value=table, visible=True)]

    button.click(ask, [run["output"], text, file], [chances, rows])


def _publication(gr: ModuleType, run: dict[str, Any], commands: Commands) -> None:
    gr.Markdown(
        "## 6 · Publish\nThe token is that of `hf auth login`; it is never asked for here. A trial uploads nothing."
    )
    with gr.Row():
        repo = gr.Textbox(label="Repository", placeholder="you/my-model")
        license_name = gr.Textbox(label="License", placeholder="apache-2.0", info="Empty: that of the checkpoint")
        base = gr.Textbox(label="Start's Hub id", info="If it was a folder; “unpublished” where it has none")
    trial = gr.Checkbox(True, label="Trial only: stage, reload and compare, upload nothing")
    button = gr.Button("Publish")
    said = gr.Textbox(label="What it says", lines=8, max_lines=20, elem_classes="said")

    def push(output: str, repo: str, license_name: str, base: str, trial: bool) -> Iterator[str]:
        options = {"output": output, "repo": repo, "license": license_name, "base_model": base, "dry_run": trial}
        yield from _followed(gr, commands, "push", options)

    button.click(push, [run["output"], repo, license_name, base, trial], said, concurrency_limit=None)
