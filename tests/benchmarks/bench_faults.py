"""Faults injected and survived, hostile inputs and clear errors, resumed runs and their bits: counted, on tiny random models.

    python tests/benchmarks/bench_faults.py --only kill --stage pretrain --kills 12      kills of one command, the other rows kept
    python tests/benchmarks/bench_faults.py --only fault|input|resume                    one group anew, the other rows kept
    python tests/benchmarks/bench_faults.py --page                                       the page anew

Rows are kept in tests/benchmarks/results/faults.json, with the load of the machine, and the page docs/results/faults.md is made of them.

Libraries are imported once; every command runs in a process forked from there, as `hf-ssl` with its arguments. A kill is SIGKILL
at a random moment of a command, to it and all that it started; the command is then given again with `--resume`. Survived is what ends
with the same weights (or vectors, metrics, files on the Hub), bit for bit, as the command that was never killed. A fault or a bad
input is survived when it is one line `error: ...` with exit code 1 (no traceback, within a minute, in less than two gigabytes more
than the libraries take), or is read; and where the table says so, when the run then goes on to the same weights.
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
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests" / "support")]
RESULTS = REPOSITORY / "tests" / "benchmarks" / "results" / "faults.json"
PAGE = REPOSITORY / "docs" / "results" / "faults.md"
LIMIT = 240.0
"""Seconds a command that is to go on may take; on a busy machine that is long for what it does."""
CLEAR = 60.0
"""Seconds until a bad input must be told."""
MOST = 2000
"""Megabytes that a bad input may take."""
TOKEN = "hf_" + "secret0123456789" * 2
STAGES = {"pretrain": 12, "finetune": 9, "compare": 7, "embed": 8, "milvus": 7, "push": 7}
"""How often each is killed."""
VOLATILE = ("second", "wait", "memory", "flops", "mfu", "time", "date")


@dataclass
class Child:
    """A command in a process of its own group."""

    pid: int
    log: Path
    began: float = field(default_factory=time.monotonic)
    megabytes: int = 0
    """The most that it held."""

    def wait(self, limit: float = LIMIT) -> int | None:
        """Its exit code (negative: the signal); None where it had to be ended."""
        while time.monotonic() - self.began < limit:
            found, status, usage = os.wait4(self.pid, os.WNOHANG)
            if found:
                self.megabytes = usage.ru_maxrss // 1024
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        self.kill()
        return None

    def kill(self) -> bool:
        """SIGKILL to it and all that it started; whether it had just ended by itself."""
        os.killpg(self.pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1]) >= 0

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


def elsewhere(make: Callable[[], Any], file: Path) -> Any:
    """What a function gives, called in a process of its own: it leaves no lock and no thread here. None: it failed."""
    pid = os.fork()
    if pid == 0:
        try:
            file.write_text(json.dumps(make()))
            os._exit(0)
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
    return json.loads(file.read_text()) if os.waitpid(pid, 0)[1] == 0 else None


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


def in_milvus(folder: Path) -> dict[str, Any]:
    """Checksum of all vectors and their rows."""
    from vectors_on_disk import opened

    with opened("milvus", folder=folder) as store:
        vectors, rows = store.all_vectors()
    lines = sorted(f"{row['content']} {vector.tolist()}" for row, vector in zip(rows, vectors, strict=True))
    return {"vectors": hashlib.sha256("\n".join(lines).encode()).hexdigest(), "count": len(lines)}


def differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    if one.get("metrics") != other.get("metrics"):
        first, second = (json.loads(made.get("metrics", "{}")) for made in (one, other))
        return differences(first, second)
    return ", ".join(f"{k}: {one.get(k)} -> {other.get(k)}" for k in {**one, **other} if one.get(k) != other.get(k))


class Bench:
    """The tiny things that everything runs on, and what was found."""

    def __init__(self, root: Path, seed: int, hub: Any) -> None:
        import runs

        self.root, self.draw, self.hub = root, random.Random(seed), hub
        self.results: list[dict[str, Any]] = []
        self.took: dict[str, float] = {}
        self.base = runs.base_checkpoint(root / "base")
        self.made = root / "made"
        for name, labeled, count, first in (("labeled", True, 60, 0), ("pool", False, 80, 1000)):
            lines = [json.dumps(row) for row in runs.rows(count, first, labeled)]
            (root / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")

    def words(self, stage: str, run: Path) -> list[str]:
        data = [
            f"--data={self.root / 'labeled.jsonl'}", f"--unlabeled={self.root / 'pool.jsonl'}", "--near_duplicates=false",
        ]  # fmt: skip
        small = [
            f"--model={self.base}", "--use_cpu=true", "--bf16=false", "--per_device_train_batch_size=4", "--logging_steps=1",
        ]  # fmt: skip
        more = {
            "pretrain": [
                *data, *small, "--max_steps=8", "--save_steps=2", "--monitor_points=2", "--keep_checkpoint=last", "--learning_rate=1e-3",
            ],
            "finetune": [*data, *small, "--num_train_epochs=4", "--labels_per_class=8", "--head_pooling=stock"],
            "compare": [*data, "--labels_per_class=2,4", "--num_seeds=2", "--probe_draws=2", "--finetune_arms=false"],
            "embed": [*data, "--part_size=16"],
            "milvus": [*data, "--part_size=16", "--store=milvus"],
            "push": [f"--repo=alice/{run.name}", "--base_model=unpublished"],
        }[stage]  # fmt: skip
        return ["embed" if stage == "milvus" else stage, f"--output={run}", *more]

    def begin(self, stage: str, run: Path, *more: str) -> Child:
        from hub_process import WRITE

        return begin(
            [*self.words(stage, run), *more],
            self.root / f"{run.name}-{stage}.log",
            **({"HF_TOKEN": WRITE} if stage == "push" else {}),
        )

    def note(self, group: str, name: str, passed: bool, told: str = "") -> None:
        told = re.sub(r"/tmp/\w+/(hostile/)?|/[\w./-]*site-packages/", "", told)  # places on the machine that measured
        self.results.append({"group": group, "name": name, "passed": passed, "told": told[:400]})
        print(f"{'ok  ' if passed else 'FAIL'} {group:<9} {name}  {told[:1500]}", flush=True)

    # -- kills --------------------------------------------------------------------------------------------------------

    def run(self, stage: str) -> float | None:
        """A stage that nobody kills, behind those before it, and its seconds; a copy of the run as it was before is kept."""
        if stage in self.took:
            return self.took[stage]
        where = self.made
        if where.exists():
            shutil.copytree(where, self.root / f"before-{stage}")
        if stage == "milvus":  # beside the stages that follow
            where = Path(shutil.copytree(self.made, self.root / "made-milvus"))
        child = self.begin(stage, where)
        if code := child.wait():
            self.note("kill", stage, False, f"does not run at all: {code}, {child.said[-300:]}")
            return None
        self.took[stage] = time.monotonic() - child.began
        return self.took[stage]

    def ended(self, stage: str, run: Path) -> dict[str, Any]:
        """What is there in the end."""
        if stage == "milvus":
            return elsewhere(lambda: in_milvus(run / "embed"), self.root / "elsewhere.json") or {}
        return self.published(run.name) if stage == "push" else made_by(stage, run)

    def published(self, name: str) -> dict[str, Any]:
        """Checksums of the files of a public repository; nothing where there is none."""
        repository = self.hub.repos().get(f"models/alice/{name}")
        if repository is None or repository["private"]:
            return {}
        files = self.hub.files(f"models/alice/{name}")
        return {
            path: hashlib.sha256(content.replace(name.encode(), b"made")).hexdigest()
            for path, content in files.items()
        }

    def kills(self, stages: list[str], count: int | None) -> None:
        last = max(list(STAGES).index(stage) for stage in stages)
        for stage in list(STAGES)[: last + 1]:
            if stage == "milvus" and stage not in stages:
                continue
            took = self.run(stage)
            if took is None:
                return
            if stage in stages:
                wanted = self.ended(stage, self.root / "made-milvus" if stage == "milvus" else self.made)
                for number in range(STAGES[stage] if count is None else count):
                    self.kill(stage, number, took, wanted)

    def kill(self, stage: str, number: int, took: float, wanted: dict[str, Any]) -> None:
        """One kill, and the command again."""
        run = self.root / f"{stage}-{number}"
        if (self.root / f"before-{stage}").exists():
            shutil.copytree(self.root / f"before-{stage}", run)
        moment = took * self.draw.uniform(0.02, 1.0)
        child = self.begin(stage, run)
        time.sleep(moment)
        late = child.kill()
        told = f"after {moment:.2f} of {took:.2f} s{' (it had just ended)' if late else ''}"
        between = self.published(run.name) if stage == "push" else {}
        again = self.begin(stage, run, *([] if stage == "push" else ["--resume"]))
        code = again.wait()
        ended = self.ended(stage, run)
        same = code == 0 and ended == wanted and between in ({}, wanted)
        if between not in ({}, wanted):
            told += f"; public and not whole: {differences(wanted, between)}"
        elif not same:
            told += f"; exit {code}: {differences(wanted, ended) if code == 0 else again.said[-200:]}"
        self.note("kill", stage, same, told)
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
        self.run("pretrain")
        wanted = made_by("pretrain", self.made)
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
        os.kill(first.pid, signal.SIGSTOP)  # or it would have ended before the other one looks
        one_line("output in use by another process", self.words("pretrain", lock), has="process")
        os.kill(first.pid, signal.SIGCONT)
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
        child.kill()
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
        both[1].kill()
        killed = time.monotonic()
        both[0].began = killed
        code = both[0].wait()
        seconds = time.monotonic() - killed
        passed = code not in (None, 0) and seconds < 60 and is_clear(both[0].said)
        self.note(
            "fault", "one of two processes killed", passed, f"{seconds:.0f} s, exit {code}: {error_of(both[0].said)}"
        )

    # -- inputs -------------------------------------------------------------------------------------------------------

    def inputs(self, only: str) -> None:
        import hostile_inputs

        place = self.root / "hostile"
        place.mkdir()
        harm, before = place / "harm", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        folders = bool(re.search(only, "run folder"))
        for stage in ("pretrain", "finetune", "embed") if folders else ():
            self.run(stage)
        every = hostile_inputs.every(place, self.base, self.root / "pool.jsonl", self.made if folders else None, harm)
        plain = [
            "pretrain",
            f"--data={self.root / 'pool.jsonl'}",
            f"--model={self.base}",
            "--max_steps=1",
            "--use_cpu=true",
        ]
        environments = hostile_inputs.ENVIRONMENTS
        for name, words in {**every, **dict.fromkeys(environments, plain)}.items():
            if not re.search(only, name):
                continue
            run = place / f"out-{hostile_inputs.slug(name)}"
            own = (
                [] if words[0] == "data" or any(word.startswith("--output") for word in words) else [f"--output={run}"]
            )
            child = begin([*words, *own], self.root / "input.log", HF_TOKEN=TOKEN, **environments.get(name, {}))
            code = child.wait(CLEAR)
            seconds, more = time.monotonic() - child.began, child.megabytes - before
            fine = (code == 0 or (code == 1 and is_clear(child.said))) and not harm.exists() and more < MOST
            fine = fine and TOKEN not in child.said and not holds(run, TOKEN.encode())
            said = "is read" if code == 0 else error_of(child.said)
            self.note("input", name, fine, said if fine else f"exit {code}, {seconds:.0f} s, {more} MB more: {said}")
            harm.unlink(missing_ok=True)
            shutil.rmtree(run, ignore_errors=True)
        if re.search(only, "markup"):
            self.markup()

    def resumes(self) -> None:
        """Every objective stopped and resumed, in the middle of an epoch and behind one."""
        import resuming

        import tiny

        def checkpoint(arch: str, auto_class: str | None = None, **overrides: Any) -> Path:
            place = Path(tempfile.mkdtemp(dir=self.root))
            return Path(tiny.write_checkpoint(arch, place, auto_class, **overrides))

        for name in resuming.CASES:
            folder = self.root / f"resume-{name}"
            found = elsewhere(lambda: resuming.compare(name, checkpoint, folder), self.root / "elsewhere.json") or {}  # noqa: B023
            same = {moment: found.get(moment, False) for moment in ("mid-epoch", "epoch end")}
            told = ", ".join(f"{moment}: {'equal' if equal else 'NOT equal'}" for moment, equal in same.items())
            self.note("resume", name, all(same.values()) and found.get("moved", False), told)
            shutil.rmtree(folder, ignore_errors=True)

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
                time.sleep(0.05)  # longer, and it has handed all over
                os.kill(int(child), signal.SIGKILL)
                return
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()


def ranks(words: list[str], root: Path, world: int) -> list[Child]:
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
        )
        for rank in range(world)
    ]  # fmt: skip


def error_of(said: str) -> str:
    return next((line for line in said.splitlines() if line.startswith("error: ")), said[-200:].replace("\n", " "))


def is_clear(said: str) -> bool:
    return "Traceback" not in said and sum(line.startswith("error: ") for line in said.splitlines()) == 1


def holds(run: Path, secret: bytes) -> bool:
    return any(secret in path.read_bytes() for path in run.rglob("*") if path.is_file())


TITLES = {
    "kill": "SIGKILL at a random moment, then the command again with `--resume`", "fault": "Other faults",
    "input": "Bad and hostile inputs, clear errors", "resume": "Objectives resumed, in mid-epoch and behind an epoch: equal bits",
}  # fmt: skip
NAMES = {"milvus": "`embed --store milvus`", "push": "`push` to a Hub on loopback"}


def page(found: Mapping[str, Any]) -> str:
    """The tables of the docs."""
    lines = [
        "# Faults injected, faults survived", "",
        "Made by `tests/benchmarks/bench_faults.py` on tiny random models. Of a kill, survived means that the command, given again with "
        "`--resume`, ends with the same weights, vectors, metrics and published files, to the bit, as one that was never killed, and that "
        "nothing incomplete was public in between; of a fault or an input, that it is one line `error:` and exit code 1 (or is read), with no "
        f"traceback, within {CLEAR:.0f} seconds and {MOST / 1000:.0f} GB.", "", "| | injected | survived | lost |", "|---|---|---|---|",
    ]  # fmt: skip
    rows = found["results"]

    def count(title: str, of: list[Any]) -> str:
        passed = sum(row["passed"] for row in of)
        return f"| {title} | {len(of)} | {passed} | {len(of) - passed} |"

    for group, title in TITLES.items():
        lines.append(count(title, [row for row in rows if row["group"] == group]))
    for stage in STAGES:
        of = [row for row in rows if row["group"] == "kill" and row["name"] == stage]
        if not of:
            lines.append(f"| &nbsp;&nbsp;kills of {NAMES.get(stage, f'`{stage}`')} | not measured yet | | |")
            continue
        lines.append(count(f"&nbsp;&nbsp;kills of {NAMES.get(stage, f'`{stage}`')}", of))
    measured = "; ".join(f"{what} {one['load']} ({one['on']})" for what, one in found["measured"].items())
    lines += ["", f"Load of the machine (two cores) and day of each part: {measured}."]
    for group, head in (("kill", "killed"), ("resume", "objective"), ("fault", "fault"), ("input", "input")):
        of = [row for row in rows if row["group"] == group and (group != "kill" or not row["passed"])]
        lines += ["", f"| {head} | | |", "|---|---|---|"] if of else []
        for row in of:
            told = re.sub(r"([\[\]|*_`])", r"\\\1", row["told"][:160]).replace("<", "&lt;").replace("\n", " ")
            lines.append(f"| {row['name']} | {'survived' if row['passed'] else 'NOT survived'} | {told} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, help="of each command (default: as in the table)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=tuple(TITLES), help="one group anew, the others as they were written")
    parser.add_argument("--stage", choices=tuple(STAGES), help="kills of one command anew")
    parser.add_argument("--match", default="", help="inputs whose names this is found in; nothing is written then")
    parser.add_argument("--page", action="store_true", help="make the page anew and nothing else")
    given = parser.parse_args()
    kept = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {"results": [], "measured": {}}
    if not given.page:
        measured = measure(given)
        if given.match:
            return
        kept = merged(kept, measured, given)
    RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


def merged(kept: dict[str, Any], rows: list[dict[str, Any]], given: argparse.Namespace) -> dict[str, Any]:
    """New rows in the place of the old ones of the same group (of kills: of the same command)."""
    new = {(row["group"], row["name"] if row["group"] == "kill" else "") for row in rows}
    others = [
        row for row in kept["results"] if (row["group"], row["name"] if row["group"] == "kill" else "") not in new
    ]
    order = list(TITLES)
    now = {"load": round(os.getloadavg()[1], 1), "on": time.strftime("%Y-%m-%d"), "seed": given.seed}
    titles = {" ".join(filter(None, key)): now for key in sorted(new)}
    return {
        "measured": {**kept["measured"], **titles},
        "results": sorted([*others, *rows], key=lambda row: order.index(row["group"])),
    }


def measure(given: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows asked for."""
    os.environ.update(
        CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", HF_HUB_DISABLE_XET="1"
    )
    os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_DISABLE_PROGRESS_BARS="1")
    with tempfile.TemporaryDirectory() as folder:
        from hub_process import HubProcess

        hub = HubProcess(Path(folder) / "hub").start()
        os.environ.update(HF_ENDPOINT=hub.url, HF_HOME=str(Path(folder) / "home"))  # before the libraries look
        import torch
        import transformers.models.bert.modeling_bert  # noqa: F401

        import hf_ssl.cli  # noqa: F401

        torch.set_num_threads(1)
        bench = Bench(Path(folder), given.seed, hub)
        try:
            parts: dict[str, Callable[[], None]] = {
                "kill": lambda: bench.kills([given.stage] if given.stage else list(STAGES), given.kills),
                "fault": bench.faults, "input": lambda: bench.inputs(given.match), "resume": bench.resumes,
            }  # fmt: skip
            for name, part in parts.items():
                if given.only in (None, name):
                    part()
        finally:
            hub.stop()
        return bench.results


if __name__ == "__main__":
    main()
