"""Faults injected and survived, hostile inputs and clear errors: counted, on a tiny random BERT.

    python tests/benchmarks/bench_faults.py [--kills 50] [--seed 0]       writes docs/results/faults.json and .md
    python tests/benchmarks/bench_faults.py --efficiency                  prints 1 -> 2 processes with one core each

Libraries are imported once; every command runs in a process forked from there, as `hf-ssl` with its arguments. A kill is SIGKILL
at a random moment of a command, which `--resume` then goes on with: survived is what ends with the same weights (or vectors, or
metrics), bit for bit, as the command that was never killed. A fault or a bad input is survived when it is one line `error: ...`
with exit code 1 (no traceback, within the limit of time), and where the table says so, when the run then goes on to the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import shutil
import signal
import socket
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "support")]
RESULTS = REPOSITORY / "docs" / "results" / "faults.json"
LIMIT = 240.0
"""Seconds a command may take; on a busy machine that is long for what it does."""
TOKEN = "hf_" + "secret0123456789" * 2
STAGES = {"pretrain": 16, "finetune": 14, "compare": 8, "embed": 7, "push": 5}
"""How often each is killed, of 50."""
VOLATILE = ("second", "wait", "memory", "flops", "mfu", "time", "date")


@dataclass
class Child:
    """A command in a process of its own group."""

    pid: int
    log: Path
    began: float = field(default_factory=time.monotonic)

    def wait(self, limit: float = LIMIT) -> int | None:
        """Its exit code (negative: the signal); None where it had to be ended."""
        while time.monotonic() - self.began < limit:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        return None

    def wait_step(self, run: Path, step: int) -> bool:
        """Whether it has not come to a step of its pre-training yet, and may."""
        curve = run / "pretrain" / "curve.jsonl"
        taken = curve.read_text(encoding="utf-8").count('"loss"') if curve.is_file() else 0
        return taken < step and Path(f"/proc/{self.pid}/cmdline").read_bytes() != b""

    @property
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


def begin(words: list[str], log: Path, before: Callable[[], None] | None = None, **environment: str) -> Child:
    """Start `hf-ssl WORDS`; `before` runs in the child first."""
    pid = os.fork()
    if pid:
        return Child(pid, log)
    code = 70
    try:
        os.setsid()
        stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        os.environ.update(environment)
        if before is not None:
            before()
        from hf_ssl import cli

        code = cli.main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def steady(value: Any) -> Any:
    """Without what differs from run to run."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if not any(word in k for word in VOLATILE)}
    return [steady(one) for one in value] if isinstance(value, list) else value


def made_by(stage: str, run: Path) -> dict[str, Any]:
    """What a stage made: its metrics, and checksums of its weights or vectors."""
    if not (run / "run.json").is_file():
        return {}
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))["stages"].get(stage, {})
    found = {"metrics": json.dumps(steady(record.get("metrics", {})), sort_keys=True)}
    for path in sorted((run / stage).rglob("*")):
        name = str(path.relative_to(run))
        if path.suffix == ".safetensors" and "checkpoints" not in path.parts:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.suffix == ".parquet":
            import pandas as pd

            frame = pd.read_parquet(path).astype(str)
            found[name] = hashlib.sha256(frame.sort_values(list(frame.columns)).to_csv().encode()).hexdigest()
    return found


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    if one.get("metrics") != other.get("metrics"):
        first, second = (json.loads(made.get("metrics", "{}")) for made in (one, other))
        return differences(first, second)
    return ", ".join(f"{k}: {one.get(k)} -> {other.get(k)}" for k in {**one, **other} if one.get(k) != other.get(k))


class Bench:
    """The tiny things that everything runs on, and what was found."""

    def __init__(self, root: Path, seed: int) -> None:
        import runs

        self.root, self.draw, self.results = root, random.Random(seed), []  # type: ignore[var-annotated]
        self.base = runs.base_checkpoint(root / "base")
        for name, labeled, count, first in (("labeled", True, 60, 0), ("pool", False, 80, 1000)):
            lines = [json.dumps(row) for row in runs.rows(count, first, labeled)]
            (root / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def words(self, stage: str, run: Path) -> list[str]:
        common = [f"--output={run}"]
        data = [
            f"--data={self.root / 'labeled.jsonl'}",
            f"--unlabeled={self.root / 'pool.jsonl'}",
            "--near_duplicates=false",
        ]
        small = [
            f"--model={self.base}",
            "--use_cpu=true",
            "--bf16=false",
            "--per_device_train_batch_size=4",
            "--logging_steps=1",
        ]
        more = {
            "pretrain": [
                *data,
                *small,
                "--max_steps=8",
                "--save_steps=2",
                "--monitor_points=2",
                "--keep_checkpoint=last",
                "--learning_rate=1e-3",
            ],
            "finetune": [*data, *small, "--num_train_epochs=4", "--labels_per_class=8", "--head_pooling=stock"],
            "compare": [*data, "--labels_per_class=2,4", "--num_seeds=2", "--probe_draws=2", "--finetune_arms=false"],
            "embed": [*data],
            "push": ["--repo=alice/tiny", "--dry_run", "--base_model=unpublished"],
        }[stage]
        return [stage, *common, *more]

    def note(self, group: str, name: str, passed: bool, told: str = "") -> None:
        told = re.sub(r"/tmp/\w+/(hostile/)?|/[\w./-]*site-packages/", "", told)  # places on the machine that measured
        self.results.append({"group": group, "name": name, "passed": passed, "told": told[:400]})
        print(f"{'ok  ' if passed else 'FAIL'} {group:<9} {name}  {told[:1500]}", flush=True)

    # -- kills --------------------------------------------------------------------------------------------------------

    def kills(self, total: int) -> None:
        made = self.root / "made"
        for stage, share in STAGES.items():
            if total == 0 and stage != "pretrain":
                break  # the other faults are of pre-training
            before = self.root / f"before-{stage}"
            if stage != "pretrain":
                shutil.copytree(made, before)
            child = begin(self.words(stage, made), self.root / f"{stage}.log")
            code = child.wait()
            took = time.monotonic() - child.began
            if code:
                self.note("kill", stage, False, f"does not run at all: {child.said[-300:]}")
                continue
            wanted = made_by(stage, made)
            for number in range(round(share * total / 50)):
                run = self.root / f"{stage}-{number}"
                if before.exists():
                    shutil.copytree(before, run)
                moment = took * self.draw.uniform(0.02, 1.0)
                child = begin(self.words(stage, run), self.root / f"{stage}-{number}.log")
                time.sleep(moment)
                os.killpg(child.pid, signal.SIGKILL)
                late = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1]) >= 0
                again = begin(self.words(stage, run) + ([] if stage == "push" else ["--resume"]), child.log)
                code = again.wait()
                ended = made_by(stage, run)
                same = code == 0 and ended == wanted
                told = f"after {moment:.2f} of {took:.2f} s{' (it had just ended)' if late else ''}"
                self.note(
                    "kill",
                    stage,
                    same,
                    told
                    if same
                    else f"{told}; exit {code}: {differences(wanted, ended) if code == 0 else again.said[-200:]}",
                )
                shutil.rmtree(run, ignore_errors=True)

    # -- faults -------------------------------------------------------------------------------------------------------

    def goes_on(self, run: Path, wanted: dict[str, Any], **environment: str) -> tuple[bool, str]:
        child = begin([*self.words("pretrain", run), "--resume"], self.root / "on.log", **environment)
        code = child.wait()
        ended = made_by("pretrain", run)
        return (
            code == 0 and ended == wanted,
            f"then exit {code} {differences(wanted, ended) if code == 0 else child.said[-200:]}",
        )

    def faults(self) -> None:
        wanted = made_by("pretrain", self.root / "made")
        plain = self.words("pretrain", self.root / "x")

        def stopped(name: str, code: int, send: Callable[[Child, Path], None]) -> None:
            run = self.root / name.replace(" ", "-")
            child = begin(self.words("pretrain", run), self.root / "fault.log")
            send(child, run)
            found = child.wait()
            same, told = self.goes_on(run, wanted)
            self.note("fault", name, found == code and same, f"exit {found}, {told}")

        def at_step(step: int, number: int) -> Callable[[Child, Path], None]:
            def send(child: Child, run: Path) -> None:
                while child.wait_step(run, step) and time.monotonic() - child.began < LIMIT:
                    time.sleep(0.01)
                os.kill(child.pid, number)

            return send

        stopped("SIGTERM", 143, at_step(4, signal.SIGTERM))
        stopped("SIGUSR1", 143, at_step(7, signal.SIGUSR1))
        stopped("Ctrl-C", 130, at_step(4, signal.SIGINT))

        def one_line(name: str, words: list[str], run: Path | None = None, *, has: str = "", **more: Any) -> None:
            child = begin(words, self.root / "fault.log", **more)
            code = child.wait()
            clear = code == 1 and is_clear(child.said) and has in child.said
            same, told = self.goes_on(run, wanted) if run is not None else (True, "")
            self.note("fault", name, clear and same, f"{error_of(child.said)} {told}")

        full = self.root / "full"
        one_line(
            "disk full while a checkpoint is written",
            self.words("pretrain", full),
            full,
            before=lambda: limit_files(150_000),
        )
        one_line("output on a read-only file system", [w.replace(str(self.root / "x"), "/proc/run") for w in plain])
        one_line(
            "loss not finite",
            [*self.words("pretrain", self.root / "nan"), "--learning_rate=1e30"],
            has="--learning_rate",
        )
        worker = self.root / "worker"
        one_line(
            "killed worker of a loader",
            [*self.words("pretrain", worker), "--dataloader_num_workers=1"],
            worker,
            before=kill_workers,
        )
        lock = self.root / "lock"
        first = begin(self.words("pretrain", lock), self.root / "first.log")
        while not (lock / "run.json").exists() and time.monotonic() - first.began < LIMIT:
            time.sleep(0.02)
        one_line("output in use by another process", self.words("pretrain", lock), has="process")
        self.note(
            "fault",
            "the process that had the output goes on",
            first.wait() == 0 and made_by("pretrain", lock) == wanted,
        )
        self.clock(wanted)
        self.lost_rank()

    def clock(self, wanted: dict[str, Any]) -> None:
        """The clock goes back a day between a kill and the resumed run."""
        run = self.root / "clock"
        child = begin(self.words("pretrain", run), self.root / "fault.log")
        while child.wait_step(run, 7) and time.monotonic() - child.began < LIMIT:
            time.sleep(0.01)
        os.killpg(child.pid, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        for path in run.rglob("*"):
            os.utime(path, (time.time() + 86_400,) * 2)
        same, told = self.goes_on(run, wanted)
        self.note("fault", "clock set back by a day before resuming", same, told)

    def lost_rank(self) -> None:
        run = self.root / "ranks"
        words = [*self.words("pretrain", run), "--max_steps=4000"]
        both = ranks(words, self.root, 2)
        while both[0].wait_step(run, 4) and time.monotonic() - both[0].began < LIMIT:
            time.sleep(0.05)
        os.killpg(both[1].pid, signal.SIGKILL)
        os.waitpid(both[1].pid, 0)
        killed = time.monotonic()
        both[0].began = killed
        code = both[0].wait()
        seconds = time.monotonic() - killed
        passed = code not in (None, 0) and seconds < 60 and is_clear(both[0].said)
        self.note(
            "fault", "one of two processes killed", passed, f"{seconds:.0f} s, exit {code}: {error_of(both[0].said)}"
        )

    # -- inputs -------------------------------------------------------------------------------------------------------

    def inputs(self) -> None:
        place = self.root / "hostile"
        place.mkdir()
        harm = place / "harm"
        for name, words in {**models(place, self.base, harm), **data(place, harm)}.items():
            run = place / f"run-{name.replace(' ', '-').replace('/', '-')}"
            given = [f"--output={run}", *words]
            if not any(word.startswith("--model") for word in words):
                given.append(f"--model={self.base}")
            if not any(word.startswith("--data") for word in words):
                given.append(f"--data={self.root / 'pool.jsonl'}")
            child = begin(
                ["pretrain", *given, "--max_steps=1", "--use_cpu=true"], self.root / "input.log", HF_TOKEN=TOKEN
            )
            code = child.wait()
            told = error_of(child.said)
            fine = (code == 0 or (code == 1 and is_clear(child.said))) and not harm.exists()
            fine = fine and TOKEN not in child.said and not holds(run, TOKEN.encode())
            self.note("input", name, fine, told if code else f"exit {code}")
            harm.unlink(missing_ok=True)
            shutil.rmtree(run, ignore_errors=True)
        self.markup()

    def markup(self) -> None:
        """Labels with markup and line breaks, in the table and on the report page."""
        rows = [json.loads(line) for line in (self.root / "labeled.jsonl").read_text().splitlines()]
        evil = {"clinic": "<script>alert(1)</script>", "works": "a|b\n# c"}
        file = self.root / "markup.jsonl"
        file.write_text("\n".join(json.dumps({**row, "label": evil[row["label"]]}) for row in rows), encoding="utf-8")
        run = self.root / "markup"
        words = [w for w in self.words("finetune", run) if not w.startswith(("--data", "--unlabeled"))]
        child = begin([*words, f"--data={file}"], self.root / "input.log")
        code = child.wait()
        pages = [path.read_text(encoding="utf-8") for path in run.rglob("*.html")]
        safe = bool(pages) and all("<script>alert" not in page for page in pages)
        self.note(
            "input", "markup in labels, on the report page", code == 0 and safe, f"exit {code}, {len(pages)} pages"
        )


def limit_files(size: int) -> None:
    """No file may get longer, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def kill_workers() -> None:
    """From a thread: whatever process this one starts is killed after a moment."""
    import threading

    me = os.getpid()

    def watch() -> None:
        while True:
            children = Path(f"/proc/{me}/task/{me}/children").read_text().split()
            for child in children:
                time.sleep(0.3)
                os.kill(int(child), signal.SIGKILL)
                return
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()


def ranks(words: list[str], root: Path, world: int, cores: bool = False) -> list[Child]:
    """The same command in several processes that meet at a port, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    return [
        begin(
            words, root / f"rank{rank}.log", RANK=str(rank), LOCAL_RANK=str(rank), LOCAL_WORLD_SIZE=str(world), **common,
            before=(lambda rank=rank: os.sched_setaffinity(0, {rank})) if cores else None,
        )
        for rank in range(world)
    ]  # fmt: skip


def error_of(said: str) -> str:
    return next((line for line in said.splitlines() if line.startswith("error: ")), said[-200:].replace("\n", " "))


def is_clear(said: str) -> bool:
    return "Traceback" not in said and sum(line.startswith("error: ") for line in said.splitlines()) == 1


def holds(run: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in run.rglob("*") if path.is_file())


class Payload:
    """What a pickle would do."""

    def __init__(self, harm: Path) -> None:
        self.harm = harm

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.harm,)


def models(place: Path, base: Path, harm: Path) -> dict[str, list[str]]:
    """Checkpoints that nobody should load, and words that ask for them."""
    import pickle

    def made(name: str, change: Callable[[Path], None]) -> list[str]:
        folder = place / f"model-{name}"
        shutil.copytree(base, folder)
        change(folder)
        return [f"--model={folder}"]

    def config(**fields: Any) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            file = folder / "config.json"
            file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))

        return change

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Payload(harm)}))

    def weights(content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
        def change(folder: Path) -> None:
            file = folder / "model.safetensors"
            file.write_bytes(content(file.read_bytes()))

        return change

    def remote(folder: Path) -> None:
        config(auto_map={"AutoModelForMaskedLM": "evil.Model", "AutoConfig": "evil.Config"}, model_type="evil")(folder)
        (folder / "evil.py").write_text(f"open({str(harm)!r}, 'w')")

    changes = {
        "pickle with a payload": pickled, "remote code": remote,
        "safetensors cut short": weights(lambda file: file[: len(file) // 2]),
        "safetensors with an absurd header": weights(lambda file: b"\xff" * 7 + b"\x7f" + file[8:]),
        "safetensors of noise": weights(lambda file: random.Random(0).randbytes(len(file))),
        "config with a million layers": config(num_hidden_layers=1_000_000), "config with no heads": config(num_attention_heads=0),
        "config with a text for a width": config(hidden_size="wide"), "config with an unknown activation": config(hidden_act="evil"),
    }  # fmt: skip
    return {name: made(name.replace(" ", "-"), change) for name, change in changes.items()}


def data(place: Path, harm: Path) -> dict[str, list[str]]:
    """Data that harm, fill the memory or never end, and words that ask for them."""
    found = {}

    def file(name: str, ending: str, content: bytes) -> None:
        path = place / f"{name.replace(' ', '-')}{ending}"
        path.write_bytes(content)
        found[name] = [f"--data={path}"]

    import gzip
    import io

    line = b'{"text": "the nurse measured the blood pressure"}\n'
    slip = place / "slip.tar.gz"
    with tarfile.open(slip, "w:gz") as archive:
        entry = tarfile.TarInfo("../harm")
        entry.size = len(line)
        archive.addfile(entry, io.BytesIO(line))
    found["tar that writes outside"] = [f"--data={slip}"]
    with zipfile.ZipFile(place / "slip.zip", "w") as archive:
        archive.writestr("../harm", line)
    found["zip that writes outside"] = [f"--data={place / 'slip.zip'}"]
    bomb = gzip.compress(bytes(1 << 20), 1) * 2000  # 2 GB
    file("gzip bomb as csv", ".csv.gz", bomb)
    file("gzip bomb as JSON lines", ".jsonl.gz", bomb)
    for name, ending in (
        ("line of a gigabyte in a text", ".txt"),
        ("line of a gigabyte in JSON lines", ".jsonl"),
        ("line of a gigabyte in csv", ".csv"),
    ):
        file(name, ending, b'{"text": "' if ending == ".jsonl" else b"text\n")
        with (place / f"{name.replace(' ', '-')}{ending}").open("r+b") as stream:
            stream.truncate(1 << 30)  # of NULs, which take no room on the disk
    file("NULs in csv", ".csv", b"text,label\n" + b"the \0 nurse,a\n" * 30)
    file("deep JSON", ".json", b"[" * 200_000)
    file("npy with an absurd header", ".npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b"{" * 1000)
    file("parquet of noise", ".parquet", b"PAR1" + random.Random(0).randbytes(4000) + b"PAR1")
    file("pickle as data", ".pkl", __import__("pickle").dumps(Payload(harm)))
    folder = place / "link"
    folder.mkdir()
    (folder / "a.txt").symlink_to("/etc/hostname")
    found["symlink out of the folder"] = [f"--data={folder}"]
    yaml = "a: &a [x, x]\n" + "".join(
        f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}]\n" for a, b in zip("abcdefghij", "bcdefghijk", strict=True)
    )
    (place / "bomb.yaml").write_text(f"{yaml}max_steps: *k\n")
    found["YAML bomb"] = [f"--config={place / 'bomb.yaml'}"]
    found["token in the environment"] = []
    return found


TITLES = {"kill": "SIGKILL at a random moment, then `--resume`", "fault": "Other faults", "input": "Hostile inputs"}


def page(found: Mapping[str, Any]) -> str:
    """The table of the docs."""
    lines = [
        "# Faults injected, faults survived", "",
        f"Made by `tests/benchmarks/bench_faults.py` (seed {found['seed']}, load of the machine {found['load']}), on a tiny random BERT. Of a kill, "
        "survived means that the command with `--resume` ends with the same weights, vectors and metrics, to the bit, as one that was never killed; "
        "of a fault or an input, that it is one line `error:` and exit code 1 (or is read), with no traceback and within four minutes.", "",
        *([found["note"], ""] if "note" in found else []), "| | injected | survived |", "|---|---|---|",
    ]  # fmt: skip
    rows = found["results"]
    for group, title in TITLES.items():
        of = [row for row in rows if row["group"] == group]
        lines.append(f"| {title} | {len(of)} | {sum(row['passed'] for row in of)} |")
    for stage in STAGES:
        of = [row for row in rows if row["group"] == "kill" and row["name"] == stage]
        lines.append(f"| &nbsp;&nbsp;of these: `{stage}` | {len(of)} | {sum(row['passed'] for row in of)} |")
    lines += ["", "| fault or input | | what is said |", "|---|---|---|"]
    for row in rows:
        if row["group"] != "kill":
            told = row["told"].replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
            lines.append(f"| {row['name']} | {'survived' if row['passed'] else 'NOT survived'} | {told[:160]} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(TITLES), help="one group anew, the others as they were written")
    parser.add_argument("--efficiency", action="store_true")
    given = parser.parse_args()
    import torch
    import transformers.models.bert.modeling_bert  # noqa: E401, F401, I001

    import hf_ssl.cli  # noqa: E401, F401, I001

    torch.set_num_threads(1)
    os.environ.update(HF_HUB_OFFLINE="1", CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), given.seed)
        if given.efficiency:
            efficiency(bench)
            return
        bench.kills(given.kills if given.only in (None, "kill") else 0)
        for name, part in (("fault", bench.faults), ("input", bench.inputs)):
            if given.only in (None, name):
                part()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if given.only and RESULTS.is_file() else {"results": []}
    others = [row for row in kept["results"] if row["group"] != given.only]
    rows = sorted([*others, *bench.results], key=lambda row: list(TITLES).index(row["group"]))
    found = {"load": round(os.getloadavg()[0], 1), "seed": given.seed, "results": rows}
    print(f"{time.monotonic() - began:.0f} s")
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    RESULTS.with_suffix(".md").write_text(page(found), encoding="utf-8")


def efficiency(bench: Bench) -> None:
    """Tokens a second of one process on one core, and of two on one core each."""
    speeds = []
    for world in (1, 2):
        run = bench.root / f"speed{world}"
        words = [
            *bench.words("pretrain", run),
            "--max_steps=60",
            "--per_device_train_batch_size=16",
            "--logging_steps=20",
        ]
        if any(child.wait() for child in ranks(words, bench.root, world, cores=True)):
            raise SystemExit((bench.root / "rank0.log").read_text())
        lines = (run / "pretrain" / "curve.jsonl").read_text(encoding="utf-8").splitlines()
        speeds.append(
            next(json.loads(line)["tokens_per_second"] for line in reversed(lines) if "tokens_per_second" in line)
        )
    print(
        f"{speeds[0]:,.0f} and {speeds[1]:,.0f} tokens/s: efficiency {speeds[1] / speeds[0] / 2:.2f}, load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
