"""What helped on five real sets? The command line as a user types it: `pretrain` twice, `gap`, `compare` with all its arms.

    python tests/benchmarks/bench_comparisons.py [--only forda,molecules] [--work runs/comparisons] [--budget 20m] [--stages pretrain,probes,all]
    python tests/benchmarks/bench_comparisons.py --page         writes docs/results/comparisons.md from the results

Sets: 20 Newsgroups (MiniLM), B3DB molecules (a BERT of chemical reactions), Fashion-MNIST (EfficientNet-Lite0), initials of Mandarin
syllables (gcin-voice; Whisper tiny's encoder), FordA (PatchTST, from random weights). Settings are the recipes' own or the library's
defaults, shortened to what two busy cores can do; nothing was chosen here by looking at test scores (that 200 small steps of `mlm` suit the
molecules was known from an earlier comparison on the same test molecules). Frozen probes are on 20 draws, fine-tuned models on 3, as
far as `--budget` reaches. The stages are ordinary runs, so a call that was stopped goes on where it was. Every result is written with its
date and commit.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hf_ssl import demo
from hf_ssl.demo import audio, images, masked_words, molecules, series

RESULTS = Path(__file__).parent / "results" / "comparisons"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "comparisons.md"
ARMS = (
    "random", "base", "adapted", "adapted-lora", "self-training", "adapted+self-training", "domain-adversarial",
    "adapted+domain-adversarial",
)  # fmt: skip
STAGES = ("pretrain", "probes", "all")


@dataclass(frozen=True)
class Set:
    """One comparison.

    Args:
        title: for people.
        write: puts data and start checkpoint into two folders; gives the model's name.
        shared: options of every stage.
        pretrain: of both pre-trainings.
        compare: of the comparisons.
        probed, tuned: labels per class of the frozen probes, and of the fine-tuned models.
        peers: other tools beside the fine-tuned models, of those that are installed.
        arms: which of `ARMS`.
    """

    title: str
    write: Callable[[Path, Path], str]
    shared: str
    pretrain: str
    compare: str = ""
    probed: str = "4,16,64"
    tuned: str = "16"
    peers: str = "svm"
    arms: Sequence[str] = ARMS


def newsgroups(data: Path, start: Path) -> str:
    demo.write_newsgroups(data, per_class=32, pool_limit=1500, test_limit=600)
    return str(demo.minilm_path())


def b3db(data: Path, start: Path) -> str:
    molecules.write_molecules(data, per_class=256, test_limit=1503)
    return str(masked_words.write_masked_words("reaction-bert", start))


def fashion(data: Path, start: Path) -> str:
    images.write_fashion_mnist(data, per_class=64, pool_limit=2000, test_limit=600)
    return str(images.write_efficientnet_lite0(start))


def initials(data: Path, start: Path) -> str:
    audio.write_gcin(data)
    return str(audio.write_whisper(start))


def forda(data: Path, start: Path) -> str:
    series.write_ucr("FordA", data, per_class=512)
    return "patchtst"


WITHOUT_LORA = [arm for arm in ARMS if arm != "adapted-lora"]
SHORT = "--max_steps 20 --self_training 300"
SETS = {
    "forda": Set(
        "FordA, a PatchTST from random weights", forda, "--modality timeseries --patch_length 32 --patch_stride 16",
        "--objective ts-contrastive --from_config true --spectrum 1.0 --keep_checkpoint last --layer_decay 1.0 --head_warmup 0.0 "
        "--lr_schedule cosine --num_train_epochs 12", SHORT, arms=[arm for arm in ARMS if arm != "random"],
    ),
    "molecules": Set(
        "B3DB molecules, a BERT of chemical reactions", b3db, "--normalize exact --near_duplicates false --max_length 128",
        "--objective mlm --max_steps 200 --per_device_train_batch_size 4 --learning_rate 3e-4", SHORT, peers="svm,setfit",
    ),
    "fashion": Set(
        "Fashion-MNIST, EfficientNet-Lite0 (ImageNet)", fashion, "--modality image --image_size 64",
        "--objective simclr --max_steps 40 --per_device_train_batch_size 48 --color 0.5 --crop_scale 0.3,1.0", SHORT,
        probed="4,16", tuned="4", arms=WITHOUT_LORA,
    ),
    "newsgroups": Set(
        "20 Newsgroups, MiniLM", newsgroups, "--max_length 64",
        "--objective tsdae --max_steps 40 --per_device_train_batch_size 16", SHORT, probed="4,16", tuned="4",
    ),
    "initials": Set(
        "Mandarin initials, Whisper tiny.en", initials, "--modality audio --window 1 --min_seconds 0.05",
        "--objective masked-spectrogram --mask_span 5 --max_steps 30 --per_device_train_batch_size 16 --learning_rate 2e-5", SHORT,
        probed="4,16", arms=WITHOUT_LORA, tuned="4",
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--work", type=Path, default=Path("runs/comparisons"))
    parser.add_argument("--budget", default="20m", help="for the fine-tuned models of a set")
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args()
    if given.page:
        PAGE.write_text(page(), encoding="utf-8")
        return
    for name in given.only.split(","):
        for stage in given.stages.split(","):
            DO[stage](SETS[name], name, given.work / name, given.budget)


def hf_ssl(verb: str, *options: str) -> float:
    """Run a verb as a user would; seconds that it took."""
    words = [verb, *(word for option in options for word in shlex.split(option))]
    print("hf-ssl", shlex.join(words), flush=True)
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "hf_ssl", *words], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    return time.monotonic() - began


def prepared(one: Set, work: Path) -> list[str]:
    """Options of every stage; data and start are written once."""
    data, start, model = work / "data", work / "start", work / "model.txt"
    if not model.is_file():
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_text(one.write(data, start), encoding="utf-8")
    return [f"--data {data} --model {model.read_text(encoding='utf-8')}", one.shared]


def pretrain(one: Set, name: str, work: Path, budget: str) -> None:
    """Continued pre-training of all weights, and with adapters where there is such an arm."""
    shared = prepared(one, work)
    for folder, more in (("run", ""), ("lora", "--peft lora")):
        if folder == "lora" and "adapted-lora" not in one.arms:
            continue
        if not (work / folder / "pretrain" / "model").is_dir():
            seconds = hf_ssl("pretrain", *shared, one.pretrain, more, f"--output {work / folder} --resume")
            keep(
                name,
                f"pretrain {folder}",
                {"seconds": round(seconds), "options": f"{one.shared} {one.pretrain} {more}".strip()},
            )


def probes(one: Set, name: str, work: Path, budget: str) -> None:
    """Frozen probes and cheap features at several numbers of labels; peers that read frozen features."""
    arms = [arm for arm in one.arms if arm in ("random", "base", "adapted", "adapted-lora")]
    options = f"--arms {','.join(arms)} --labels_per_class {one.probed} --protocols knn,linear-probe --finetune_arms false --peers svm"
    compared(one, name, work, "probes", options)


def everything(one: Set, name: str, work: Path, budget: str) -> None:
    """All arms, fine-tuned, at one number of labels."""
    options = (
        f"--arms {','.join(one.arms)} --labels_per_class {one.tuned} --protocols linear-probe,peft --budget {budget}"
    )
    options += f" --peers {_installed(one.peers)}"
    compared(one, name, work, "all", options)


def _installed(peers: str) -> str:
    return ",".join(name for name in peers.split(",") if name == "svm" or importlib.util.find_spec(name))


def compared(one: Set, name: str, work: Path, kind: str, options: str) -> None:
    shared, run = prepared(one, work), work / "run"
    if "--from_config" in one.pretrain:  # random weights, which the pre-training began with
        shared[0] = f"--data {work / 'data'} --model {run / 'start'}"
    more = [f"--adapted {run / 'pretrain' / 'model'}", one.compare, options]
    if "adapted-lora" in one.arms:
        more.append(f"--adapted_lora {work / 'lora' / 'pretrain' / 'model'}")
    seconds = hf_ssl("compare", *shared, *more, f"--output {run}")
    contest = json.loads((run / "compare" / "contest.json").read_text(encoding="utf-8"))
    steps = json.loads((run / "compare" / "attribution.json").read_text(encoding="utf-8"))
    keep(name, kind, {
        "seconds": round(seconds), "options": " ".join([one.shared, one.compare, options]), "metric": contest["metric"],
        "units": contest["units"], "unfinished": contest["unfinished"],
        "choices": [f"{line['budget']} labels: {line['word']}. {line['sentence']}" for line in contest["choices"]],
        "scores": [
            {key: line[key] for key in ("budget", "arm", "protocol", "word", "seconds", "trainable")}
            | {"mean": line["score"]["mean"], "sd": line["score"]["sd"], "draws": line["score"]["n"]}
            for line in contest["lines"]
        ],
        "steps": [
            {"step": line["step"], "with": line["fixed"], "budget": line["budget"], "p": line["adjusted_p"], "verdict": line["verdict"]["word"],
             "could_be_shown": line["minimum_detectable"], "labels_saved": line["labels_saved"], "draws": len(line["difference"]["per_draw"]),
             **{key: line["difference"][key] for key in ("difference", "low", "high")}}
            for line in steps
        ],
    })  # fmt: skip


def keep(name: str, kind: str, found: dict[str, Any]) -> None:
    """Put a result into the set's file, with the date and the commit it was made at."""
    file = RESULTS / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"title": SETS[name].title}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent, check=False
    )
    stamp = {"date": time.strftime("%Y-%m-%d"), "commit": commit.stdout.strip()}
    known[kind] = {**stamp, **rounded(found)}
    file.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def rounded(value: Any) -> Any:
    """Four digits behind the point are enough."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list) else value


def page() -> str:
    """Tables of all results, as Markdown."""
    parts = [
        "# Full comparisons on real sets",
        "Written by `tests/benchmarks/bench_comparisons.py --page` from the results beside it; dates and commits below. Small settings: they fit two "
        "busy processor cores. Each verdict is the tool's own.",
    ]
    left = [one.title for name, one in SETS.items() if not (RESULTS / f"{name}.json").is_file()]
    parts += [f"Not run yet: {'; '.join(left)}."] if left else []
    for name in SETS:
        if (file := RESULTS / f"{name}.json").is_file():
            parts += _told(json.loads(file.read_text(encoding="utf-8")))
    for name, title in (
        ("probe_cache", "A grid of probes, features computed once"),
        ("planted", "Made-up data whose answer is known"),
    ):
        if (file := RESULTS.parent / f"{name}.json").is_file():
            parts += [
                f"## {title}",
                f"`tests/benchmarks/bench_{name}.py`",
                _table(("what", "figure"), _flat(json.loads(file.read_text("utf-8")))),
            ]
    return "\n\n".join(parts) + "\n"


def _told(found: dict[str, Any]) -> list[str]:
    parts = [f"## {found['title']}"]
    for kind, title in (("probes", "Frozen probes and cheap features"), ("all", "All arms, fine-tuned")):
        if (one := found.get(kind)) is None:
            continue
        left = (
            f" Not finished: {one['unfinished']} models were left when the time was up." if one["unfinished"] else ""
        )
        parts += [
            f"### {title} ({one['date']}, commit `{one['commit']}`, {one['seconds'] / 60:.0f} minutes)",
            f"`{one['options']}`. {one['units']}{left} {one.get('note', '')}".strip(),
            "\n".join(f"- {text}" for text in one["choices"]),
            _table(("labels", "what", one["metric"], "draws", "seconds", "trained", ""), [
                (line["budget"], _name(line), _score(line), line["draws"], f"{line['seconds'] or 0:.1f}", f"{line['trainable'] or 0:,}", line["word"])
                for line in one["scores"]
            ]),
            _table(("what helped", "with", "labels", "difference", "95% interval", "could be shown", "draws", "verdict"), [
                (line["step"], line["with"], line["budget"], f"{line['difference']:+.3f}", f"{line['low']:+.3f} to {line['high']:+.3f}",
                 f"{line['could_be_shown']:.3f}", line["draws"], line["verdict"])
                for line in one["steps"]
            ]),
        ]  # fmt: skip
    return parts


def _flat(found: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for name, value in found.items():
        rows += _flat(value, f"{above}{name}: ") if isinstance(value, dict) else [(f"{above}{name}", value)]
    return rows


def _name(line: dict[str, Any]) -> str:
    return line["arm"] if line["protocol"] in ("baseline", "peer") else f"{line['arm']}, {line['protocol']}"


def _score(line: dict[str, Any]) -> str:
    return f"{line['mean']:.3f}" + (f" ± {line['sd']:.3f}" if line["sd"] is not None else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


DO: dict[str, Callable[[Set, str, Path, str], None]] = {"pretrain": pretrain, "probes": probes, "all": everything}

if __name__ == "__main__":
    main()
