"""Pages that are made when the site is built: the executed notebooks as tutorials, the recipes, the gallery.

mkdocs calls `on_files`; `made()` gives the same pages to the tests. Nothing of this is committed twice.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
RECORDS = REPOSITORY / "docs" / "results" / "recipes"
NOTEBOOKS = ("text", "images", "audio", "series")
WIDE = 360  # pixels of a thumbnail
RECIPES = """`hf-ssl run NAME --data my-data` runs one; `hf-ssl recipes cp NAME` copies it to change. Each page shows what the recipe needs, a
minute of it on demo data (commands, all that they print, pictures) and its file. A minute shows the way and not what the recipe can do:
*Expect* has figures of whole runs where there are some. The same stages step by step: [tutorials](../tutorials/index.md)."""


IN_REPOSITORY = {
    **{f"notebooks/{name}.ipynb": f"tutorials/{name}.md" for name in NOTEBOOKS},
    "notebooks/README.md": "gallery.md",
    "recipes/README.md": "recipes/index.md",
}
"""What pages link to in the repository, where made pages do not exist → the page of the site that shows it."""


def made() -> dict[str, str | bytes]:
    """Path under docs/ → content."""
    pages: dict[str, str | bytes] = {}
    shown: list[str] = []
    for name in NOTEBOOKS:
        text, pictures = tutorial(name)
        pages[f"tutorials/{name}.md"] = text
        for file, (caption, anchor, content) in pictures.items():
            pages[f"tutorials/{file}"] = content
            small = thumbnail(content) if file.endswith(".png") else content
            pages[f"gallery/{file}"] = small
            shown.append(card(f"gallery/{file}", f"tutorials/{name}.md#{anchor}", caption))
    pages |= recipes()
    pages["gallery.md"] = gallery(shown)
    return pages


def tutorial(name: str) -> tuple[str, dict[str, tuple[str, str, bytes]]]:
    """A notebook as Markdown, and its pictures: file → caption, the head they stand under, content."""
    notebook = json.loads((REPOSITORY / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    parts, pictures, head = [], {}, ""
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            head = (re.findall(r"^#+ (.+)$", source, re.M) or [head])[-1]
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        for output in cell["outputs"]:
            picture = picture_of(output)
            if picture is None:
                parts.append(said(output))
                continue
            suffix, content = picture
            file = f"{name}-{len(pictures) + 1}.{suffix}"
            pictures[file] = (head, anchor_of(head), content)
            parts.append(f"![{head}: a picture made by the cell above]({file})")
    note = f"*The executed notebook `notebooks/{name}.ipynb` of the repository, as it stands there; `{name}.py` beside it has the same cells.*"
    title, rest = parts[0].partition("\n")[::2]
    return "\n\n".join([title, note, rest.strip(), *(part for part in parts[1:] if part)]) + "\n", pictures


def picture_of(output: dict[str, Any]) -> tuple[str, bytes] | None:
    """(suffix, content) of an output that is a picture."""
    data = output.get("data", {})
    if "image/png" in data:
        return "png", base64.b64decode("".join(data["image/png"]))
    if "image/svg+xml" in data:
        return "svg", "".join(data["image/svg+xml"]).encode()
    return None


def said(output: dict[str, Any]) -> str:
    """An output that is text; Markdown as what it means."""
    data = output.get("data", {})
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    text = "".join(output.get("text") or data.get("text/plain") or "").rstrip()
    return f"````text\n{text}\n````" if text else ""  # a printed card has fences of its own


def anchor_of(head: str) -> str:
    """As mkdocs makes it."""
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", head.lower()).strip())


def thumbnail(content: bytes) -> bytes:
    """A picture at the width of a card."""
    from PIL import Image

    with Image.open(io.BytesIO(content)) as picture:
        small = picture.convert("RGB")
        small.thumbnail((WIDE, WIDE))
        stream = io.BytesIO()
        small.save(stream, "PNG")
    return stream.getvalue()


def card(file: str, target: str, caption: str) -> str:
    """A thumbnail that leads somewhere, with its caption."""
    return f"- [![]({file})<br>{caption}]({target})"  # the caption says it; the picture would say it twice


def gallery(shown: list[str]) -> str:
    """The page of thumbnails: by notebook, then what else there is to see."""
    parts = [
        "# Gallery",
        "Pictures that the tutorials made when they were executed, and the pages you will meet. Each leads to how it was made.",
    ]
    titles = {"text": "Texts", "images": "Pictures", "audio": "Recordings", "series": "Series"}
    for name, title in titles.items():
        parts += [f"## {title}", *grid([one for one in shown if f"gallery/{name}-" in one])]
    others = [
        card("results/label_efficiency.svg", "tutorials/index.md", "A first picture: `hf-ssl demo --first`"),
        card("results/report.png", "reading-the-report.md", "The report of a run"),
        card("results/ui.png", "how-to/ui.md", "The page of `hf-ssl ui`"),
        card("results/terminal.png", "tutorials/index.md#what-a-command-says", "What a command says in the terminal"),
    ]
    parts += ["## Pages and terminal", *grid(others)]
    made = [(file.stem, executed(file.stem).get("pictures")) for file in list_of_recipes()]
    parts += [
        "## Recipes",
        *grid(
            [card(f"results/recipes/{found[0]['file']}", f"recipes/{name}.md", name) for name, found in made if found]
        ),
    ]
    return "\n\n".join(parts) + "\n"


def grid(cards: list[str]) -> list[str]:
    return ['<div class="gallery" markdown>', "\n".join(cards), "</div>"]


def list_of_recipes() -> list[Path]:
    return sorted((REPOSITORY / "recipes").glob("*.yaml"))


def recipes() -> dict[str, str]:
    """A page for each recipe, and the page that lists them."""
    pages: dict[str, str] = {}
    rows = ["| recipe | what it does | its minute |", "|---|---|--:|"]
    for file in list_of_recipes():
        whole = file.read_text(encoding="utf-8").splitlines()
        said = list(itertools.takewhile(lambda line: line.startswith("#"), whole))
        title, *lines = [line.removeprefix("#").removeprefix(" ").rstrip() for line in said]
        needs = re.sub(
            r"^Minute:.*\n(?: {10}.*\n)*", "", "\n".join(lines), flags=re.M
        )  # it is shown below, with what it prints
        found = executed(file.stem)
        took = f"{found['seconds']} s" if found else ""
        parts = [
            f"# {file.stem}",
            f"**{title.rstrip('.')}.**",
            "## What it needs, and what to expect",
            "```text\n" + needs.strip() + "\n```",
            *(minute(found) if found else []),
            "## Its file",
            "```yaml\n" + "\n".join(whole[len(said) :]).strip() + "\n```",
        ]
        pages[f"recipes/{file.stem}.md"] = "\n\n".join(parts) + "\n"
        rows.append(f"| [{file.stem}]({file.stem}.md) | {title} | {took} |")
    pages["recipes/index.md"] = f"# Recipes\n\n{RECIPES}\n\n" + "\n".join(rows) + "\n"
    return pages


def executed(name: str) -> dict[str, Any]:
    """What `tests/support/execute_recipes.py` has kept of a recipe's minute; empty where it has none."""
    file = RECORDS / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def minute(found: dict[str, Any]) -> list[str]:
    """The minute of a recipe: commands, output, pictures, time."""
    took = (
        f"{found['seconds']} s with the writing of the data, {found['processor_seconds']} s of processor time, on {found['cores']} cores "
        f"under a load of {found['load']}, {found['date']}."
    )
    return [
        "## A minute of it",
        "```bash\n" + "\n".join(found["commands"]) + "\n```",
        *([f"*{found['note'][:1].upper()}{found['note'][1:]}.*"] if found["note"] else []),
        "````text\n" + "\n".join(found["said"]) + "\n````",
        *(f"![{one['caption']}](../results/recipes/{one['file']})" for one in found["pictures"]),
        took,
    ]


def on_post_page(output: str, page: Any, config: Any) -> str:
    """mkdocs' hook: what the theme leaves unsaid to screen readers and keyboards."""
    output = output.replace(
        'data-md-component="search" role="dialog"', 'data-md-component="search" role="dialog" aria-label="Search"'
    )
    # An empty head of a column is none, but a cell.
    output = re.sub(r"<th( [^>]*)?></th>", "<td></td>", output)
    # Labels of sections with a page of their own are empty: a landmark without a name is none.
    named = r'<nav (class="md-nav" data-md-level="1") aria-labelledby="[^"]*" aria-expanded="[^"]*"'
    return re.sub(named, r'<nav \1 role="none"', output)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """mkdocs' hook: links into the repository become links to the pages made of it."""
    folder = (REPOSITORY / "docs" / page.file.src_uri).parent

    def to_site(link: re.Match[str]) -> str:
        target = os.path.relpath(folder / link[1], REPOSITORY)
        there = IN_REPOSITORY.get(Path(target).as_posix())
        return (
            link[0] if there is None else f"]({Path(os.path.relpath(REPOSITORY / 'docs' / there, folder)).as_posix()})"
        )

    return re.sub(r"\]\(((?:\.\./)+(?:notebooks|recipes)/[\w.-]+)\)", to_site, markdown)


def on_files(files: Any, config: Any) -> Any:
    """mkdocs' hook: the pages join those that lie in docs/."""
    from mkdocs.structure.files import File

    for name, content in made().items():
        files.append(File.generated(config, name, content=content))
    return files
