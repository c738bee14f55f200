"""`hf-ssl doctor`: what this machine can do, and what is in the way."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import torch

from hf_ssl.core.run import PACKAGES
from hf_ssl.core.summary import Summary
from hf_ssl.hub.account import hub_state
from hf_ssl.stages.resolve import resolve
from hf_ssl.stages.result import StageResult
from hf_ssl.training.flops import matmul_rate
from hf_ssl.training.trainer import bf16_is_fast

# Extras that are for developing this library, or that are made of others.
NOT_FOR_USERS = ("test", "dev", "docs", "demo", "all", "tfhub-check")
SECONDS = 1.5  # for which matrices are multiplied, in each number format
WRITTEN = 64 << 20  # bytes of the disk's trial
LOW_DISK, LOW_MEMORY = 5.0, 4.0  # GB below which real checkpoints do not fit


def doctor(**options: Any) -> StageResult:
    """Look at versions, accelerator, memory, disk, the Hub and missing extras, and try the speed for a few seconds.

    Args:
        options: those of `hf_ssl.core.options.DoctorConfig`.

    Returns:
        `metrics`: `versions`, `machine`, `accelerator`, `processes`, `extras`, `hub`, `speed`, and `problems` in words.
    """
    config = resolve("doctor", options).config
    folder = Path(config.output).absolute()
    place = next(path for path in (folder, *folder.parents) if path.exists())
    found: dict[str, Any] = {
        "versions": versions(), "machine": machine(place), "accelerator": accelerator(), "processes": processes(),
        "extras": missing_extras(),
        "hub": hub_state() if config.hub else {"reachable": None, "token": "not asked", "reason": "--hub false"},
        "speed": speed(place) if config.speed else {},
    }  # fmt: skip
    found["problems"] = problems(found)
    return StageResult(place, found)


def versions() -> dict[str, str | None]:
    """Of Python and of the packages that a run folder remembers; None: not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in (*PACKAGES, "timm"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def machine(place: Path) -> dict[str, Any]:
    """Cores, memory and disk, in GB; `place` is where results will lie."""
    memory = psutil.virtual_memory()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count(), "usable_cores": usable,
        "load": round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None,
        "memory_gb": round(memory.total / 1e9, 1), "free_memory_gb": round(memory.available / 1e9, 1),
        "free_disk_gb": round(shutil.disk_usage(place).free / 1e9, 1), "writable": os.access(place, os.W_OK),
    }  # fmt: skip


def accelerator() -> dict[str, Any]:
    """What trains, and what it can: bfloat16 in hardware, fused attention, memory of each device."""
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    found: dict[str, Any] = {"kind": kind, "bf16": bf16_is_fast(), "flash": False, "devices": []}
    if kind == "cuda":
        for number in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(number)
            found["devices"].append({"name": about.name, "memory_gb": round(about.total_memory / 1e9, 1)})
        found["flash"] = torch.cuda.get_device_capability() >= (8, 0) and torch.backends.cuda.flash_sdp_enabled()
    return found


def processes() -> dict[str, bool]:
    """What several processes can talk through."""
    there = torch.distributed.is_available()
    nccl = (
        there and torch.distributed.is_nccl_available() and torch.cuda.is_available()
    )  # torch brings it, a GPU uses it
    return {"gloo": there and torch.distributed.is_gloo_available(), "nccl": nccl}


def missing_extras() -> dict[str, dict[str, Any]]:
    """Extras of which a package is missing: which, and the pip line."""
    wanted: dict[str, list[str]] = {}
    try:
        required = importlib.metadata.requires("hf-ssl") or []
    except importlib.metadata.PackageNotFoundError:  # a checkout that was never installed
        return {}
    for line in required:
        extra = re.search(r"extra\s*==\s*['\"]([\w-]+)['\"]", line)
        name = re.match(r"[\w.-]+", line)
        if extra and name and extra[1] not in NOT_FOR_USERS and name[0] != "hf-ssl":
            wanted.setdefault(extra[1], []).append(name[0])
    found = {}
    for extra_name, names in sorted(wanted.items()):
        absent = [name for name in names if not _installed(name)]
        if absent:
            found[extra_name] = {"missing": absent, "install": f'pip install "hf-ssl[{extra_name}]"'}
    return found


def _installed(name: str) -> bool:
    try:
        importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def speed(place: Path) -> dict[str, float]:
    """Matrix products in GFLOP/s and writing in MB/s: a few seconds in all."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found = {
        f"{name}_gflops": round(matmul_rate(dtype, device, SECONDS) / 1e9, 1)
        for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16))
    }
    if os.access(place, os.W_OK):
        content, began = os.urandom(1 << 20) * (WRITTEN >> 20), time.perf_counter()
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        found["disk_mb_per_second"] = round(WRITTEN / 1e6 / (time.perf_counter() - began), 1)
    return found


def problems(found: dict[str, Any]) -> list[str]:
    """What will be in the way, worst first, each with what to do."""
    told, here = [], found["machine"]
    if not here["writable"]:
        told.append("the folder for results is not writable: name another --output")
    if here["free_disk_gb"] < LOW_DISK:
        told.append(f"only {here['free_disk_gb']} GB of disk are free: checkpoints of a base model need about 5")
    if here["memory_gb"] < LOW_MEMORY:
        told.append(
            f"only {here['memory_gb']} GB of memory: take a small checkpoint, and --per_device_train_batch_size 4"
        )
    if found["accelerator"]["kind"] == "cpu" and not found["accelerator"]["bf16"]:
        told.append(
            "no GPU and no bfloat16 in hardware: training runs in float32; small checkpoints are pleasant, large ones not"
        )
    if here["load"] is not None and here["load"] > 1.5 * here["usable_cores"]:
        told.append(
            f"the machine is busy (load {here['load']} on {here['usable_cores']} cores): times will be longer than estimated"
        )
    if found["hub"]["reachable"] is False:
        told.append(f"the Hub was not reached ({found['hub'].get('reason')}): use local folders, and HF_HUB_OFFLINE=1")
    if found["hub"]["token"] == "refused":
        told.append("the Hub refuses the token: hf auth login")
    if found["hub"]["token"] == "read":
        told.append("the token may only read: `push` needs one that may write")
    return told


def summary(found: dict[str, Any]) -> Summary:
    """The report as a box."""
    here, trains, hub = found["machine"], found["accelerator"], found["hub"]
    devices = ", ".join(f"{one['name']} ({one['memory_gb']} GB)" for one in trains["devices"]) or "processors"
    able = [*(["bfloat16"] if trains["bf16"] else []), *(["flash attention"] if trains["flash"] else [])]
    talk = [name for name, there in found["processes"].items() if there]
    reached = {True: "reached", False: "not reached", None: "not asked"}[hub["reachable"]]
    owner = f" of {hub['name']}" if hub.get("name") else ""
    lines = [
        ("versions", ", ".join(f"{name} {version}" for name, version in found["versions"].items() if version)),
        (
            "machine",
            f"{here['system']}, {here['usable_cores']} cores, {here['free_memory_gb']} of {here['memory_gb']} GB memory free",
        ),
        ("disk", f"{here['free_disk_gb']} GB free" + ("" if here["writable"] else ", not writable")),
        (
            "trains on",
            f"{devices}: {', '.join(able) or 'float32 only'}; several processes by {', '.join(talk) or 'nothing'}",
        ),
        ("hub", f"{hub.get('address', '')} {reached}; token: {hub['token']}{owner}".strip()),
        *(
            (f"[{name}]", f"{', '.join(about['missing'])} missing: {about['install']}")
            for name, about in found["extras"].items()
        ),
    ]
    if rates := found["speed"]:
        lines.append(("speed", ", ".join(f"{name.replace('_', ' ')} {value:,.0f}" for name, value in rates.items())))
    lines += [("problem", text) for text in found["problems"]] or [("problems", "none")]
    return Summary("doctor", tuple(lines), next="hf-ssl demo", facts={"metrics": found})
