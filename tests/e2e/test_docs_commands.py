"""Commands and snippets of the docs run, on small made-up data of each kind and tiny weights under the names that the pages use.

Steps and time budgets are cut, as `hf-ssl check` cuts them; everything else is as printed. How to mark a block: `tests/support/doc_blocks.py`.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import retail
from contract_image import pictures
from doc_blocks import Block, blocks_of, commands_of
from places import REPOSITORY
from runs import CARD, rows

import tiny
from hf_ssl import cli
from hf_ssl.training.limit import limited
from sounds import tone

DOCS = REPOSITORY / "docs"
MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MODELS = {
    MINILM: "bert", "timm/resnet50.a1_in1k": "resnet", "timm/vit_small_patch14_dinov2.lvd142m": "dinov2", "openai/whisper-tiny": "whisper",
    "answerdotai/ModernBERT-base": "modernbert",
}  # fmt: skip
# What a page reads, where the text above says that it is there already.
BEFORE = {"hub": "tuned", "use-the-model": "tuned", "reading-the-report": "pretrained"}
SLOW = [pytest.mark.slow, pytest.mark.timeout(900)]  # up to two minutes of a core, which other work may share
BLOCKS = [
    pytest.param(page, block, id=f"{page.stem}-{block.line}", marks=SLOW if block.directive == "slow" else [])
    for page in sorted(DOCS.rglob("*.md"))
    for block in blocks_of(page.read_text(encoding="utf-8"))
    if block.language in ("bash", "python") and page.stem != "options"
]


def table(file: Path, found: list[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(found[0]))
        writer.writeheader()
        writer.writerows(found)


def texts(folder: Path) -> None:
    for name in ("my-data", "reviews"):
        (folder / name).mkdir()
        table(folder / name / "labels.csv", rows(80, 0, labeled=True))
        table(folder / name / "test.csv", rows(40, 5000, labeled=True))
        lines = "".join(json.dumps(row) + "\n" for row in rows(60, 1000, labeled=False))
        (folder / name / "unlabeled.jsonl").write_text(lines, encoding="utf-8")
    table(folder / "new.csv", rows(12, 9000, labeled=False))
    table(folder / "letters.csv", [{"body": row["text"], "topic": row["label"]} for row in rows(60, 0, labeled=True)])


def corpus(folder: Path) -> None:
    (folder / "corpus").mkdir()
    (folder / "corpus" / "texts.txt").write_text("\n".join(tiny.corpus(400)), encoding="utf-8")


def scans(folder: Path) -> None:
    pil = pytest.importorskip("PIL.Image")
    (folder / "scans").mkdir()
    found = []
    for number, picture in enumerate(pictures(48)):
        pil.fromarray(picture).save(folder / "scans" / f"{number}.png")
        found.append({"file_name": f"{number}.png", "label": "ab"[number % 2], "patient": f"p{number // 3}"})
    table(folder / "scans" / "metadata.csv", found)


def scenes(folder: Path) -> None:
    for seed, (split, count) in enumerate((("unlabeled", 12), ("train", 60), ("test", 12))):
        for number, scene in enumerate(pictures(count, channels=6, seed=seed)):
            place = folder / "scenes" / split / ("" if split == "unlabeled" else "ab"[number % 2])
            place.mkdir(parents=True, exist_ok=True)
            np.save(place / f"{number}.npy", scene)


def parts(folder: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    found = []
    for call_number in range(12):
        pieces = [tone(300 + 40 * call_number + 9 * number, 1.0) for number in range(6)]
        soundfile.write(folder / f"call-{call_number}.wav", np.concatenate(pieces), 16000)
        found += [
            {
                "path": f"call-{call_number}.wav",
                "start": 1000 * number,
                "end": 1000 * number + 900,
                "label": "ab"[number % 2],
            }
            for number in range(len(pieces))
        ]
    table(folder / "parts.csv", found)


def sales(folder: Path) -> None:
    days = np.arange(np.datetime64("2023-01-02"), np.datetime64("2023-01-02") + 600)
    table(
        folder / "sales.csv",
        [
            {
                "item_id": store,
                "date": str(day),
                "sold": round(50 + 10 * np.sin(number / 7 * 2 * np.pi) + number % 5, 2),
            }
            for store in ("north", "south")
            for number, day in enumerate(days)
        ],
    )


def shops(folder: Path) -> None:
    panel = retail.panel(4, 220)
    cut = panel["date"].max() - np.timedelta64(14, "D")
    panel[panel["date"] <= cut].to_csv(folder / "past.csv", index=False)
    panel[panel["date"] > cut].drop(columns="sales").to_csv(folder / "ahead.csv", index=False)


MAKERS: dict[str, Callable[[Path], None]] = {
    "channels": scenes,
    "forecasting": shops,
    "groups": scans,
    "long-audio": parts,
    "panels": sales,
    "stream": corpus,
}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Path]:
    """Folder of a page: its data, and models under their Hub names; the same for all blocks of the page."""
    made: dict[str, Path] = {}

    def make(page: Path) -> Path:
        if page.stem not in made:
            folder = made[page.stem] = tmp_path_factory.mktemp(page.stem)
            MAKERS.get(page.stem, texts)(folder)
            for name, arch in MODELS.items():
                longer = {"max_source_positions": 150} if arch == "whisper" else {}  # three seconds, as the recipe has
                tiny.write_checkpoint(
                    arch, folder / name, "AutoModelForMaskedLM" if "bert" in arch else None, **longer
                )
                (folder / name / "README.md").write_text(CARD, encoding="utf-8")
        return made[page.stem]

    return make


def shortened(words: list[str]) -> list[str]:
    """Time budgets are what the reader has; the test has seconds."""
    budgets = [place + 1 for place, word in enumerate(words[:-1]) if word == "--budget"]
    return [("20s" if place in budgets else word) for place, word in enumerate(words)]


def call(*words: str) -> None:
    with limited(2):
        assert cli.main(shortened(list(words))) == 0, words


def prepare(page: Path) -> None:
    """What the reader of a page has done before."""
    state = BEFORE.get(page.stem)
    if state is None or Path("runs").exists():
        return
    if state == "tuned":
        call("finetune", "--data", "my-data", "--model", MINILM, "--output", "runs/mine", "--self_training", "0")
    else:
        call("pretrain", "--data", "reviews/", "--model", MINILM, "--output", "runs/reviews", "--monitor_points", "1")


@pytest.mark.parametrize(("page", "block"), BLOCKS)
def test_block_runs(page: Path, block: Block, places: Callable[[Path], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    if block.directive.startswith("skip"):
        assert len(block.directive.split()) > 1, "a skipped block says why"
        pytest.skip(block.directive)
    monkeypatch.chdir(places(page))
    monkeypatch.syspath_prepend(str(places(page)))
    if block.directive == "slow":
        prepare(page)
    if block.language == "python":
        exec(compile(block.code, str(page), "exec"), {"__name__": "__main__"})
        return
    for command in commands_of(block):
        if command[0] == "hf-ssl":
            call(*command[1:])
        elif command[0] == "pytest":
            subprocess.run([sys.executable, "-m", *command], check=True, env=None)
        else:
            assert command[:2] == ["pip", "install"], f"this test cannot run {command}; mark its block"


def test_most_blocks_are_run() -> None:
    skipped = [page for page, block in (one.values for one in BLOCKS) if block.directive.startswith("skip")]
    assert len(skipped) < len(BLOCKS) / 2
