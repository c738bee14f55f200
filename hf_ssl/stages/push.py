"""The stage that publishes: stage a folder → card → reload check → one upload. Nothing leaves before all of it holds."""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from huggingface_hub import get_token

from hf_ssl import __version__
from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import HubError
from hf_ssl.core.options import PushConfig
from hf_ssl.core.run import BaseModel, RunDir, inputs_hash, write_json
from hf_ssl.hub import api as hub
from hf_ssl.hub import card, reload_check, space, staging, usage
from hf_ssl.hub.artifacts import (
    TENSORFLOW,
    base_of,
    check_repo_id,
    choose,
    inputs_of,
    is_hub_id,
    license_of,
    locate_adapter,
    modality_of,
    outputs_of,
)
from hf_ssl.hub.pipelines.base import find_pipeline
from hf_ssl.hub.staging import Artifact
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.answerer import load_answer
from hf_ssl.stages.published import ANSWER, START, stage_answer
from hf_ssl.stages.resolve import resolve
from hf_ssl.stages.result import StageResult
from hf_ssl.vectors import StoreAddress
from hf_ssl.vectors.parquet import ParquetStore

if TYPE_CHECKING:
    from hf_ssl.modalities.encoder import Encoder

logger = logging.getLogger(__name__)


def push(*, token: str | None = None, **options: object) -> StageResult:
    """Publish a run's result on the Hub.

    Args:
        token: for the Hub; by default that of `hf auth login` or HF_TOKEN. It is passed on and never stored.
        options: those of `hf_ssl.core.options.PushConfig`.

    Returns:
        `path` is the staged folder; metrics have `url`, `commit` and `changed` (nothing of it in a dry run).

    Raises:
        HubError: it cannot be published as it is; nothing broken is left on the Hub.

    Example:
        >>> push(output="runs/topics", repo="me/news-topics", base_model="sentence-transformers/all-MiniLM-L6-v2")
    """
    resolved = resolve("push", options)
    config, run = resolved.config, RunDir(resolved.config.output)
    if not distributed.is_main():
        return StageResult(run.path / "hub", {})  # of several processes, one publishes
    target = hub.Target(
        check_repo_id(config.repo), private=config.private, revision=config.branch, create_pr=config.create_pr
    )
    for name in (*config.datasets, *([config.eval_dataset] if config.eval_dataset else [])):
        if not is_hub_id(name):
            raise HubError(
                f"{name!r} is not the Hub id of a dataset (OWNER/NAME); leave data that are not on the Hub away."
            )
    artifact = choose(run, config)
    target.repo_type = artifact.repo_type
    license = license_of(run, config)
    base_id, revision = base_of(run, config)
    with run.running(
        "push", inputs_hash(resolved.to_dict()), resolved.to_dict(), resume=True, overwrite=True, alone=True
    ) as record:
        api, remote = None, hub.Remote()
        if not config.dry_run:
            api = hub.connect(target, token)
            remote = hub.look(api, target)
            if base_id is not None:
                revision = hub.confirm_base(api, base_id, revision, run.base.weights_sha if run.base else None)
            for name in filter(None, [*config.datasets, config.eval_dataset]):
                hub.dataset_revision(api, name)
        if artifact.kind == "adapter" and artifact.base_id is None:
            artifact.base_id, artifact.base_revision = base_id, revision
        folder = _fresh(run, target)
        facts = _facts(run, config, artifact, license, base_id, revision)
        compared = stage(run, artifact, folder, facts, config, remote.readme)
        _extras(run, config, folder, artifact, facts, api)
        places = _places(run)
        staging.refuse_leaks(folder, _secret(token, api), places)
        record.metrics = {
            "files": _listing(folder),
            "compared": compared["compared"],
            "difference": compared["difference"],
        }
        logger.info(
            f"push: {len(record.metrics['files'])} files staged in {folder}; reloaded in a fresh process, answers agree"
        )
        if api is None:
            for name, size in record.metrics["files"].items():
                logger.info(f"  {size:>12,}  {name}")
            logger.info(f"push: dry run, nothing was uploaded to {target.repo}")
            return StageResult(folder, record.metrics)
        record.metrics |= _upload(run, api, target, folder, config, remote)
    if config.space:
        _space(run, api, config, facts, token)
    return StageResult(folder, run.stage("push").metrics)


def _fresh(run: RunDir, target: hub.Target) -> Path:
    folder = run.path / "hub" / target.repo.replace("/", "--")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _facts(
    run: RunDir, config: PushConfig, artifact: Artifact, license: str, base_id: str | None, revision: str | None
) -> card.CardFields:
    modality, task = modality_of(run), None
    if artifact.kind in ("model", "adapter") and run.stage("finetune").done:
        task = run.stage("finetune").outputs["task"]
    facts = card.CardFields(
        repo=str(config.repo), kind=artifact.kind, auto_class=artifact.auto_class, pipeline_tag=_tag_of(artifact),
        modality=modality.name, task=task, license=license, base_id=base_id, base_revision=revision, usage="",
        datasets=config.datasets, language=config.language, title=config.title, description=config.description,
        purpose=config.purpose, origin=_origin(run) if base_id is None else None,
    )  # fmt: skip
    if run.stage("pretrain").done:
        facts.objective = run.stage("pretrain").options.get("objective") or modality.default_objective
        objective = plugins.find("objectives", facts.objective)
        facts.objective_text, facts.paper = (objective.__doc__ or "").strip().partition("\n")[0], objective.paper
    if artifact.kind == "adapter" and artifact.base_id:
        facts.base_id, facts.base_revision = artifact.base_id, artifact.base_revision
    return facts


def _tag_of(artifact: Artifact) -> str | None:
    served = find_pipeline(artifact.pipeline_tag)
    return None if served is None else served.tag


def _origin(run: RunDir) -> str | None:
    """Name of the TensorFlow model that the start checkpoint was imported from."""
    known = str(run.base.id if run.base else "")
    return known.removeprefix(TENSORFLOW) if known.startswith(TENSORFLOW) else None


def stage(
    run: RunDir, artifact: Artifact, folder: Path, facts: card.CardFields, config: PushConfig, existing: str | None
) -> dict[str, Any]:
    """Fill the staged folder and try it in a fresh process; the card comes last, with what the usage lines printed."""
    modality = modality_of(run)
    job: dict[str, Any] = {"kind": artifact.kind, "folder": str(folder.resolve()), "as_named": facts.repo}
    tensors: dict[str, Any] = {}
    values: list[Any] = []
    answer: dict[str, Any] | None = None
    if artifact.kind == "embeddings":
        facts.usage = usage.ROWS.format(repo=facts.repo)
        vectors = _stage_vectors(run, folder, facts.base_id)
    else:
        encoder = modality.load(str(artifact.source), artifact.auto_class)
        if artifact.kind == "adapter":
            adapter = replace(artifact, source=artifact.source.parent / staging.ADAPTER)
            staging.stage_adapter(adapter, folder)
            facts.usage = usage.of_adapter(
                facts.repo, artifact.auto_class, str(artifact.base_id), artifact.base_revision, artifact.options or {}
            )
            at = f'", revision="{artifact.base_revision}' if artifact.base_revision else ""
            job |= {
                "base": artifact.base_source,
                "base_named": f"{artifact.base_id}{at}",
                "options": artifact.options or {},
            }
        else:
            for name in staging.stage_model(artifact, encoder, folder):
                logger.info(f"  left behind: {name}")
            artifact.pooling = str(encoder.pooling)
            served = find_pipeline(artifact.pipeline_tag)
            if served is not None:
                values = staging.published_values(artifact, encoder)
            if artifact.pipeline_tag and not values:
                facts.pipeline_tag = None
                logger.info(
                    f"  the card names no pipeline: {artifact.pipeline_tag} does not take what this model takes"
                )
            facts.labels, facts.inputs = outputs_of(artifact, folder), inputs_of(folder, modality)
            facts.usage = (
                served.usage(facts.repo, getattr(modality.config, "sampling_rate", None))
                if served is not None and values
                else usage.of_class(facts.repo, artifact.auto_class, folder)
            )
            if config.adapter:
                _beside(run, artifact, folder, facts)
            if artifact.kind == "model":
                answer = _answer(run, folder, facts, encoder, config)
        served_as = artifact.pipeline_tag if values else None
        tensors = staging.reference(replace(artifact, pipeline_tag=served_as), encoder)
        if answer is not None:
            tensors["answer"] = answer.pop("expected")
    write_json(folder / LINEAGE, _manifest(run, artifact, facts))
    job |= {
        "answer": answer,
        "auto_class": artifact.auto_class,
        "pipeline_tag": artifact.pipeline_tag if values else None,
        "usage": facts.usage,
        "labels": run.stage("finetune").outputs.get("labels") if artifact.kind == "model" else None,
        "rate": getattr(modality.config, "sampling_rate", None),
    }
    with tempfile.TemporaryDirectory() as place:
        if artifact.kind == "embeddings":
            np.save(Path(place) / "vectors.npy", vectors)
            job["vectors"] = str(Path(place) / "vectors.npy")
        answer = reload_check.check_reload(job, tensors, values)
    facts.printed = "" if str(folder) in answer["printed"] else answer["printed"]
    card.write_card(folder, run, facts, existing)
    return answer


def _beside(run: RunDir, artifact: Artifact, folder: Path, facts: card.CardFields) -> None:
    """The adapter in a subfolder of the merged model's repository, tried like the model."""
    adapter = Artifact("adapter", artifact.source, artifact.auto_class, artifact.pipeline_tag)
    locate_adapter(run, adapter, "finetune" if artifact.kind == "model" else "pretrain")
    if adapter.base_id is None:
        adapter.base_id, adapter.base_revision = facts.base_id, facts.base_revision
    inner = folder / staging.ADAPTER
    staging.stage_adapter(replace(adapter, source=artifact.source.parent / staging.ADAPTER), inner)
    facts.adapter = {"folder": staging.ADAPTER, "base": adapter.base_id, "revision": adapter.base_revision}
    tensors = staging.reference(Artifact("model", artifact.source, artifact.auto_class), None)
    job = {
        "kind": "adapter", "folder": str(inner.resolve()), "as_named": "no usage of its own", "usage": "", "base": adapter.base_source,
        "base_named": "-", "auto_class": artifact.auto_class, "options": adapter.options or {},
    }  # fmt: skip
    reload_check.check_reload(job, tensors, [])


def _stage_vectors(run: RunDir, folder: Path, base_id: str | None) -> np.ndarray:
    """The vectors with ids and a stamp that say nothing of this machine: ids can be names of people or files."""
    with ParquetStore.open(StoreAddress("parquet", run.path / "embed")) as store:
        found, rows = store.all_vectors()
        spec = store.spec
    if not np.isfinite(found).all():
        raise HubError("Some vectors are not finite; nothing was published. Run `hf-ssl embed` again.")
    if Path(spec.model).exists():  # the hash of the weights still says exactly which model it was
        spec = replace(spec, model=f"{base_id or 'an unpublished model'}, adapted", revision=None)
    for row in rows:
        row["id"] = hashlib.sha256(str(row["id"]).encode()).hexdigest()[:32]
        del row["content"]
    (folder / "data").mkdir()
    with ParquetStore.open(StoreAddress(str(folder / "data" / "train-00000-of-00001.parquet")), spec) as published:
        published.add(found, rows)
    return found


def _extras(
    run: RunDir, config: PushConfig, folder: Path, artifact: Artifact, facts: card.CardFields, api: hub.HfApi | None
) -> None:
    """Results in the Hub's format, and the manifest: lineage and the files this library looks after."""
    measured = run.stage("evaluate")
    metrics = measured.outputs.get("model") or measured.metrics
    if config.eval_dataset and facts.kind == "model":
        import yaml
        from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

        if not metrics:
            raise HubError(
                "--eval_dataset names the test data, but nothing was measured. Run `hf-ssl evaluate` first."
            )
        sha = hub.dataset_revision(api, config.eval_dataset) if api is not None else None
        entries = [
            EvalResultEntry(dataset_id=config.eval_dataset, task_id=name, value=value, dataset_revision=sha)
            for name, value in metrics.items()
            if isinstance(value, float)
        ]
        (folder / ".eval_results").mkdir()
        text = yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False)
        (folder / ".eval_results" / "hf_ssl.yaml").write_text(text, encoding="utf-8")
    files = sorted({*_listing(folder), LINEAGE})
    write_json(folder / LINEAGE, {**_manifest(run, artifact, facts), "files": files})


def _manifest(run: RunDir, artifact: Artifact, facts: card.CardFields) -> dict[str, Any]:
    """What `hf_ssl.json` says: lineage, and how a fine-tuned model is asked."""
    base = run.base or BaseModel("")
    own = read_json(artifact.source / LINEAGE) if (artifact.source / LINEAGE).is_file() else {}
    return {
        "base": {"id": facts.base_id, "revision": facts.base_revision, "license": base.license, "weights_sha": base.weights_sha},
        "kind": facts.kind, "task": facts.task, "modality": facts.modality, "pooling": artifact.pooling, "hf_ssl": __version__,
        **{name: own[name] for name in ("modality_options", "task_options") if own.get(name)},
        "data_fingerprint": run.facts.get("data", {}).get("fingerprint"), ANSWER: facts.answer is not None,
    }  # fmt: skip


def _answer(
    run: RunDir, folder: Path, facts: card.CardFields, encoder: Encoder, config: PushConfig
) -> dict[str, Any] | None:
    """Stage what the run answers with, and what its check needs: lines, made-up values, and the run's probabilities of them."""
    base = CheckpointRef(facts.base_id, facts.base_revision) if facts.base_id else None
    teacher = stage_answer(run, folder, encoder.modality, config.answer, base)
    if teacher is None:
        return None
    lines = usage.ANSWER.format(repo=facts.repo)
    facts.answer = {"told": teacher.told(), "usage": lines, "repo": facts.repo}
    values, rate = encoder.example_values(), getattr(encoder.modality.config, "sampling_rate", None)
    asked = [{"array": value, "sampling_rate": rate} for value in values] if rate else values
    found = load_answer(run.path).probabilities(asked) if values else np.zeros((0, 1))
    apart = teacher.reads_network and not (folder / ANSWER / START).is_dir()
    start = str(teacher.ref.weights().files[0].parent) if apart else None
    return {"usage": lines, "start": start, "values": values, "expected": torch.from_numpy(found)}


def _listing(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}


def _places(run: RunDir) -> list[str]:
    """Names of folders of this machine, the longest first; short ones such as `/` are in every file."""
    named = [
        str(run.path.resolve()),
        str(run.path),
        str(Path.home()),
        str(Path.cwd()),
        tempfile.gettempdir(),
        run.base.source if run.base else "",
    ]
    return sorted({f"{place}/" for place in named if place.startswith("/") and len(place) > 3}, key=len, reverse=True)


def _secret(token: str | None, api: hub.HfApi | None) -> str | None:
    """The token in use, to be searched for in what is published."""
    known = token or (api.token if api is not None else None) or get_token()
    return known if isinstance(known, str) else None


def _upload(
    run: RunDir, api: hub.HfApi, target: hub.Target, folder: Path, config: PushConfig, remote: hub.Remote
) -> dict[str, Any]:
    key = f"{target.repo_type}:{target.repo}"
    begun = run.facts.get("hub_begun", {})

    def note(pending: bool) -> None:
        run.record(hub_begun={key: pending})

    result = hub.publish(api, target, folder, config.message, remote, pending=bool(begun.get(key)), note=note)
    kind = read_json(folder / "hf_ssl.json")["kind"]
    run.record(hub={kind: {"repo": target.repo, "commit": result.commit, "url": result.url}})
    logger.info(
        f"push: {result.pull_request or result.url} at {result.commit[:8]} ({len(result.changed)} files changed)"
    )
    return {"url": result.url, "commit": result.commit, "changed": result.changed, "pull_request": result.pull_request}


def _space(run: RunDir, api: hub.HfApi, config: PushConfig, facts: card.CardFields, token: str | None) -> None:
    """A Gradio demo of the model that has just been published."""
    target = hub.Target(check_repo_id(config.space), repo_type="space", private=config.private)
    folder = _fresh(run, hub.Target(f"space/{target.repo.replace('/', '--')}"))
    space.stage_space(folder, facts)
    staging.refuse_leaks(folder, _secret(token, api), _places(run))
    hub.connect(target, token)
    key = f"space:{target.repo}"

    def note(pending: bool) -> None:
        run.record(hub_begun={key: pending})

    pending = bool(run.facts.get("hub_begun", {}).get(key))
    result = hub.publish(
        api, target, folder, config.message, hub.look(api, target), pending=pending, note=note, space_sdk="gradio"
    )
    logger.info(f"push: demo at {result.url}")
