"""The page of a run: what it says follows from the files, it shows nothing it must not, and it stands alone."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import runs

import hf_ssl
from hf_ssl import cli
from hf_ssl.core.errors import RunFolderError
from hf_ssl.core.jsonfiles import read_lines
from hf_ssl.core.run import RunDir
from hf_ssl.evaluation.advice import Advice
from hf_ssl.evaluation.figures import Curve, curves_figure
from hf_ssl.report import drawings, page, tables
from hf_ssl.report.notices import MEANING
from hf_ssl.report.repeat import command_lines


class Outline(HTMLParser):
    """Ids, links to them, headings, and the tables with their captions and scopes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = dict(attributes)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        if tag == "a" and str(found.get("href", "")).startswith("#"):
            self.links.append(str(found["href"])[1:])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    return runs.finished_run(folder / "run", runs.base_checkpoint(folder / "base"))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_every_stage_leaves_the_page_and_it_says_what_the_files_say(finished: Path) -> None:
    text = (finished / "report.html").read_text(encoding="utf-8")
    contest = json.loads((finished / "compare" / "contest.json").read_text(encoding="utf-8"))
    for line in contest["lines"]:
        assert f"{line['score']['mean']:.3f}" in text
    for choice in contest["choices"]:
        assert choice["word"] in text
    metrics = json.loads((finished / "evaluate" / "metrics.json").read_text(encoding="utf-8"))
    assert f"{metrics['f1_macro']:.4f}" in text and "apache-2.0" in text
    assert len(text) < 2_000_000


def test_it_stands_alone_and_reads_well(finished: Path) -> None:
    text = (finished / "report.html").read_text(encoding="utf-8")
    outline = Outline(text)
    assert len(outline.ids) == len(set(outline.ids)), "figures keep their ids to themselves"
    assert set(outline.links) <= set(outline.ids)
    tags = [tag for tag, _ in outline.tags]
    assert "script" not in tags and "iframe" not in tags and tags.count("h1") == 1
    assert tags.count("table") == tags.count("caption") > 3
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in outline.tags if tag == "th")
    assert all(attributes.get("alt") for tag, attributes in outline.tags if tag == "img")
    for svg in re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL):
        assert 'role="img"' in svg and "<title>" in svg and "<desc>" in svg
    loads = re.findall(r'(?:src|href|url)\s*[=(]\s*["\']?([^"\')\s>]+)', text)
    assert all(target.startswith(("#", "data:image/png")) for target in loads), "nothing is fetched from anywhere"


def test_rows_of_the_data_can_be_left_out(run: Path) -> None:
    with_rows = page.write_report(run).read_text(encoding="utf-8")
    without = page.write_report(run, content=False).read_text(encoding="utf-8")
    some = json.loads((run / "data" / "report.examples.json").read_text(encoding="utf-8"))
    texts = [row["text"] for row in some]
    assert texts and all(text in with_rows and text not in without for text in texts)


def test_what_the_data_hold_is_text_and_nothing_else(run: Path) -> None:
    nasty = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    mistakes = [
        {
            "id": "r1",
            "path": None,
            "truth": nasty,
            "prediction": nasty,
            "probability": 0.9,
            "text": nasty,
            "picture": None,
        }
    ]
    (run / "evaluate" / "mistakes.json").write_text(json.dumps(mistakes), encoding="utf-8")
    (run / "evaluate" / "confusion_matrix.svg").write_text("<svg><script>alert(1)</script></svg>", encoding="utf-8")
    text = page.write_report(run).read_text(encoding="utf-8")
    assert "<script" not in text and "<img src=x" not in text and "&lt;script&gt;" in text


def test_the_gap_and_its_advice_are_told(run: Path) -> None:
    advice = Advice("task-adaptive", "medium", {"task-adaptive": ["the pool is like the test data"]}, ["few examples"])
    (run / "gap").mkdir()
    (run / "gap" / "gap.json").write_text(
        json.dumps({"distance": 0.1234, "advice": dataclasses.asdict(advice)}), encoding="utf-8"
    )
    text = page.write_report(run).read_text(encoding="utf-8")
    assert "0.123" in text and "like the test data" in text and "doubt: few examples" in text


def test_mistakes_are_the_most_confident_first(finished: Path) -> None:
    found = json.loads((finished / "evaluate" / "mistakes.json").read_text(encoding="utf-8"))
    answers = pq.read_table(finished / "evaluate" / "predictions.parquet").to_pylist()
    wrong = {row["id"] for row in answers if row["truth"] != row["prediction"]}
    assert {one["id"] for one in found} <= wrong and len(found) == min(12, len(wrong))
    sure = [one["probability"] for one in found]
    assert sure == sorted(sure, reverse=True)


def test_a_damaged_or_unfinished_run_still_has_a_page(run: Path) -> None:
    for file in ("compare/contest.json", "data/report.json", "pretrain/monitor.jsonl"):
        (run / file).write_text('{"lines": [', encoding="utf-8")
    (run / "evaluate" / "metrics.json").unlink()
    ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))
    ledger["stages"]["finetune"] |= {"status": "failed", "error": "TrainingError: is not finite"}
    (run / "run.json").write_text(json.dumps(ledger), encoding="utf-8")
    text = page.write_report(run).read_text(encoding="utf-8")
    assert "HFS311" in text and "is not finite" in text


@pytest.mark.parametrize(
    ("share", "seconds", "told"), [(12.5, 400.0, True), (4.9, 4000.0, False), (60.0, 12.0, False)]
)
def test_training_that_waited_for_its_data_is_told(run: Path, share: float, seconds: float, told: bool) -> None:
    ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))
    ledger["stages"]["finetune"]["metrics"] |= {"data_wait_percent": share, "train_seconds": seconds}
    (run / "run.json").write_text(json.dumps(ledger), encoding="utf-8")
    text = page.write_report(run).read_text(encoding="utf-8")
    assert ("HFS314" in text) is told and (not told or "dataloader_num_workers" in text)


def test_a_page_that_cannot_be_written_fails_no_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said) -> None:
    def broken(*given: object, **named: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr("hf_ssl.report.write_report", broken)
    base = runs.base_checkpoint(tmp_path / "base")
    result = hf_ssl.embed(
        data=runs.rows(8, 0, labeled=True), model=str(base), output=str(tmp_path / "run"), near_duplicates=False
    )
    assert result.metrics["vectors"] and "could not be written: OSError: no space" in said.readouterr().err


def test_figures_that_are_too_large_are_left_out_and_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = page.write_report(run).stat().st_size
    monkeypatch.setattr(page, "LARGEST", whole - 1000)
    text = page.write_report(run).read_text(encoding="utf-8")
    assert len(text.encode()) < whole - 1000 and "too large" in text


def test_warnings_have_numbers_that_the_docs_explain(repository: Path, finished: Path) -> None:
    docs = (repository / "docs" / "reading-the-report.md").read_text(encoding="utf-8")
    assert {f'id="{code.lower()}"' for code in MEANING} == set(re.findall(r'id="hfs\d+"', docs))
    text = (finished / "report.html").read_text(encoding="utf-8")
    shown = re.findall(r'class="code">(HFS\d+)', text)
    assert "HFS307" in shown and "HFS312" in shown and shown == sorted(shown)


def test_each_warning_of_the_data_is_told_once(run: Path) -> None:
    report = json.loads((run / "data" / "report.json").read_text(encoding="utf-8"))
    leak = {"split": "unlabeled", "against": "test", "exact": 2, "near": 0, "ids": []}
    told = {"warnings": ["two rows are also in test", "a column was guessed"], "leaks": [leak]}
    for codes, expected in ((["HFS206", "HFS203"], ["HFS301", "HFS309"]), (None, ["HFS301", "HFS301", "HFS309"])):
        found = {**report, **told, **({"warning_codes": codes} if codes else {})}
        if codes is None:
            found.pop("warning_codes", None)
        (run / "data" / "report.json").write_text(json.dumps(found), encoding="utf-8")
        text = page.write_report(run).read_text(encoding="utf-8")
        assert [
            code for code in re.findall(r'class="code">(HFS\d+)', text) if code in ("HFS301", "HFS309")
        ] == expected
        assert text.count("two rows are also in test") == text.count("a column was guessed") == 1


def test_commands_repeat_the_run(finished: Path) -> None:
    lines = dict(command_lines(RunDir(finished)))
    assert list(lines) == ["pretrain", "finetune", "evaluate", "compare", "embed"]
    assert (
        "--objective mlm" in lines["pretrain"]
        and "--max_steps 2" in lines["pretrain"]
        and "--lora_r 2" in lines["pretrain"]
    )
    assert "--labels_per_class 2,4" in lines["compare"] and "--resume" not in " ".join(lines.values())


def test_the_command_line_writes_it(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run / "report.html").unlink()
    assert cli.main(["report", str(run), "--no_content"]) == 0
    assert (run / "report.html").is_file() and "report.html" in capsys.readouterr().err
    assert cli.main(["report", str(run / "nothing")]) == 1
    assert "holds no run" in capsys.readouterr().err
    with pytest.raises(RunFolderError):
        hf_ssl.write_report(run / "nothing")


def test_curves_need_three_points_and_figures_share_no_ids(tmp_path: Path) -> None:
    entries = [{"step": step, "loss": 1 / (step + 1)} for step in range(4)]
    assert drawings.history("a", "Loss", entries[:2], {"loss": "loss"}, "loss") is None
    one, other = (drawings.history(name, "Loss", entries, {"loss": "loss"}, "loss") for name in ("a", "b"))
    assert one is not None and other is not None
    ids = [set(re.findall(r'\bid="([^"]+)"', drawing.svg)) for drawing in (one, other)]
    assert not ids[0] & ids[1]
    assert set(re.findall(r"url\(#([^)]+)\)", one.svg)) <= ids[0]
    svg = curves_figure("Score", "labels", "score", [Curve("<b>", [1, 2], list(np.ones(2)), [0, 0])])
    assert "<b>" not in str(drawings.inlined(svg, "x")) and drawings.inlined("<svg onload=x()></svg>", "x") is None
    (tmp_path / "curve.jsonl").write_text('{"step": 1, "loss": 2}\n{"step": 2, "lo', encoding="utf-8")
    assert read_lines(tmp_path / "curve.jsonl") == [{"step": 1, "loss": 2}]


def test_numbers_have_names_and_units() -> None:
    metrics = {"steps": 6, "train_seconds": 4.62, "tokens_per_second": 672, "mfu_percent": 24.18, "matmul_gflops_per_second": 196.1,
               "accuracy": 0.8125, "resumed": True, "outcome": "done"}  # fmt: skip
    assert tables.numbers(metrics) == "steps 6, train 4.6 s, 672 tokens/s, MFU 24.2 %, accuracy 0.812"
