"""The one place that talks to the Hub's API: who may, what is there, one commit, and what to do when it fails.

The order keeps every failure harmless. A new repository is made private, gets everything in one commit, is compared
with the staged files, and only then shown. A failure before the commit deletes what was made; should the Hub be gone
by then, what is left is empty and private, and the next push goes on with it.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, hf_hub_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile

from hf_ssl.core.errors import HubError
from hf_ssl.core.jsonfiles import parse

logger = logging.getLogger(__name__)

# httpx in huggingface_hub 1, httpx2 in 2: the base class of everything that can happen on the way.
_Transport: type[Exception] = next(kind for kind in HfHubHTTPError.__mro__ if kind.__name__ == "HTTPError")
# RuntimeError is what huggingface_hub raises when a large file did not arrive.
FAILURES = (_Transport, HfHubHTTPError, OfflineModeIsEnabled, ConnectionError, TimeoutError, RuntimeError)
ATTEMPTS = 3
LEFT_BY_THE_HUB = {".gitattributes"}


@dataclass
class Target:
    """Where to publish."""

    repo: str
    repo_type: str = "model"
    private: bool = False
    revision: str | None = None
    create_pr: bool = False

    @property
    def branch(self) -> str:
        return self.revision or "main"


@dataclass
class Remote:
    """What is there now: nothing (`exists` False), or a head commit with files (path → content id) and a card."""

    exists: bool = False
    private: bool = False
    head: str | None = None
    files: dict[str, str] = field(default_factory=dict)
    readme: str | None = None
    managed: list[str] = field(default_factory=list)


@dataclass
class Published:
    """What became of a push."""

    url: str
    commit: str
    changed: list[str]
    pull_request: str | None = None


def connect(target: Target, token: str | None) -> HfApi:
    """Log in, and make sure that this account may write there, before anything is done.

    Raises:
        HubError: no token, an expired one, one that may only read, another owner's namespace, no network.
    """
    api = HfApi(token=token)
    try:
        account = api.whoami()
    except LocalTokenNotFoundError as error:
        raise HubError("No access token was found. Log in with `hf auth login`, or set HF_TOKEN.") from error
    except FAILURES as error:
        refused = (
            "The Hub does not accept the access token (expired or revoked?). Make a new one, then `hf auth login`."
        )
        raise HubError(refused if _status(error) == 401 else f"Logging in failed: {_reason(error)}") from error
    owner = target.repo.partition("/")[0]
    mine = [account["name"], *(item["name"] for item in account.get("orgs", ()))]
    if owner not in mine and not target.create_pr:
        raise HubError(f"{account['name']} may not write to {target.repo}. Owners you may use: {', '.join(mine)}.")
    if account.get("auth", {}).get("accessToken", {}).get("role") == "read":
        raise HubError("The access token may only read. Make one with write permission, then `hf auth login`.")
    return api


def look(api: HfApi, target: Target) -> Remote:
    """What the repository holds now.

    Raises:
        HubError: it cannot be read.
    """
    try:
        try:
            info = api.repo_info(target.repo, repo_type=target.repo_type, revision=target.branch)
        except RevisionNotFoundError:
            info = api.repo_info(target.repo, repo_type=target.repo_type)
        files = _files(api, target, str(info.sha))
        remote = Remote(True, bool(info.private), info.sha, files)
        remote.readme = _read(api, target, "README.md", remote)
        manifest = _read(api, target, "hf_ssl.json", remote)
    except GatedRepoError as error:
        raise HubError(f"{target.repo} is gated and this account has no access to it.") from error
    except RepositoryNotFoundError:
        return Remote()
    except FAILURES as error:
        raise HubError(f"{target.repo} cannot be read: {_reason(error)}") from error
    if manifest is not None:
        with contextlib.suppress(ValueError, AttributeError):
            listed = parse(manifest).get("files", [])
            remote.managed = [str(name) for name in listed] if isinstance(listed, list) else []
    return remote


def _files(api: HfApi, target: Target, commit: str) -> dict[str, str]:
    """Path → content id of every file at a commit."""
    entries = api.list_repo_tree(target.repo, recursive=True, revision=commit, repo_type=target.repo_type)
    files = [item for item in entries if isinstance(item, RepoFile)]
    return {item.path: str(item.lfs.sha256 if item.lfs else item.blob_id) for item in files}


def _read(api: HfApi, target: Target, name: str, remote: Remote) -> str | None:
    if name not in remote.files:
        return None
    path = hf_hub_download(target.repo, name, repo_type=target.repo_type, revision=remote.head, token=api.token)
    return Path(path).read_text(encoding="utf-8", errors="replace")


def confirm_base(api: HfApi, base_id: str, revision: str | None, weights_sha: str | None) -> str | None:
    """Make sure that the start checkpoint is what it is said to be, and find its commit.

    Returns:
        the commit, or None where this account may not look.

    Raises:
        HubError: there is no such model, or its weights are other ones.
    """
    try:
        info = api.model_info(base_id, revision=revision)
        listed = api.get_paths_info(base_id, ["model.safetensors"], revision=info.sha)
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise HubError(
            f"The Hub has no model {base_id!r}{f' at {revision}' if revision else ''}, so a card must not name it as the start "
            "checkpoint. Give the right one with --base_model OWNER/NAME, or `--base_model unpublished`."
        ) from error
    except FAILURES as error:
        raise HubError(f"{base_id} cannot be looked up: {_reason(error)}") from error
    there = {str(item.lfs.sha256) for item in listed if isinstance(item, RepoFile) and item.lfs}
    if weights_sha and there and weights_sha not in there:
        raise HubError(
            f"The run did not start from the weights that {base_id} has at {str(info.sha)[:8]}: theirs have the SHA-256 "
            f"{next(iter(there))[:12]}…, the run's {weights_sha[:12]}…. Name the right checkpoint with --base_model."
        )
    return info.sha


def dataset_revision(api: HfApi, name: str) -> str:
    """Commit of a dataset that the card names.

    Raises:
        HubError: there is no such dataset.
    """
    try:
        return str(api.dataset_info(name).sha)
    except RepositoryNotFoundError as error:
        raise HubError(
            f"The Hub has no dataset {name!r}, so the card must not name it (--datasets, --eval_dataset)."
        ) from error
    except FAILURES as error:
        raise HubError(f"The dataset {name} cannot be looked up: {_reason(error)}") from error


def publish(
    api: HfApi, target: Target, folder: Path, message: str, remote: Remote, *, pending: bool, note: Callable[[bool], None],
    **for_new: Any,
) -> Published:  # fmt: skip
    """Upload a staged folder in one commit.

    Args:
        remote: from `look`.
        pending: an earlier push made this repository and did not get further: it is empty and private.
        note: told True when a repository was made, False when it is complete or gone again; the caller remembers.
        for_new: further arguments for a new repository (`space_sdk`).

    Raises:
        HubError: what went wrong, and what is on the Hub now.
    """
    local = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    stale = [name for name in remote.managed if name in remote.files and name not in local]
    changed = [name for name, path in local.items() if remote.files.get(name) not in content_ids(path)]
    url = f"{api.endpoint}/{'' if target.repo_type == 'model' else target.repo_type + 's/'}{target.repo}"
    _refuse_mismatch(target, remote, pending)
    if remote.exists and not changed and not stale:
        logger.info(f"  {target.repo} has all of this already; nothing to upload")
        if pending:
            _show(api, target, note)
        return Published(url, str(remote.head), [])
    made = not remote.exists or (pending and set(remote.files) <= LEFT_BY_THE_HUB)
    operations: list[Any] = [CommitOperationAdd(name, local[name]) for name in changed]
    operations += [CommitOperationDelete(name, is_folder=False) for name in stale]
    left = "What was there before is unchanged."
    try:
        if not remote.exists:
            note(True)
            _create(api, target, for_new)
        _branch(api, target)
        commit = _commit(api, target, operations, message, remote.head)
        left = f"The commit {commit.oid} is there; the one before it can be restored from the history."
        if not target.create_pr:
            _compare(api, target, local, commit.oid)
    except BaseException as error:
        left = _clean_up(api, target, note) if made else left
        if not isinstance(error, (HubError, *FAILURES)):
            raise
        raise HubError(f"{target.repo} was not published: {_reason(error)} {left}") from error
    if made:
        _show(api, target, note)
    return Published(url, commit.oid, [*changed, *stale], getattr(commit, "pr_url", None))


def content_ids(path: Path) -> set[str]:
    """The two names the Hub gives a file's content: SHA-256 of a large one, git's SHA-1 of a small one."""
    large, small = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            large.update(block)
            small.update(block)
    return {large.hexdigest(), small.hexdigest()}


def _refuse_mismatch(target: Target, remote: Remote, pending: bool) -> None:
    if target.create_pr and not remote.exists:
        raise HubError(
            f"{target.repo} does not exist, so there is nothing to open a pull request on. Push without --create_pr."
        )
    if target.create_pr and target.revision not in (None, "main"):
        raise HubError("A pull request is opened on main; leave --revision away.")
    if remote.exists and target.private and not remote.private:
        raise HubError(
            f"{target.repo} exists and is public. Make it private in its settings first, or push without --private."
        )
    if remote.exists and remote.private and not target.private and not pending:
        logger.info(f"  {target.repo} is private and stays so; its settings on the Hub can change that")


def _create(api: HfApi, target: Target, for_new: dict[str, Any]) -> None:
    for attempt in range(ATTEMPTS):
        try:
            api.create_repo(target.repo, repo_type=target.repo_type, private=True, exist_ok=True, **for_new)
            return
        except FAILURES as error:
            if not _passing(error) or attempt == ATTEMPTS - 1:
                raise
            time.sleep(2**attempt)


def _branch(api: HfApi, target: Target) -> None:
    if target.revision not in (None, "main"):
        api.create_branch(target.repo, branch=str(target.revision), repo_type=target.repo_type, exist_ok=True)


def _commit(api: HfApi, target: Target, operations: list[Any], message: str, head: str | None) -> Any:
    """One commit; tried again after a passing failure, unless it turns out to have arrived."""
    local = {
        item.path_in_repo: Path(str(item.path_or_fileobj))
        for item in operations
        if isinstance(item, CommitOperationAdd)
    }
    for attempt in range(ATTEMPTS):
        again = [_anew(item) for item in operations]
        try:
            return api.create_commit(
                target.repo, again, commit_message=message, repo_type=target.repo_type, revision=target.revision,
                create_pr=target.create_pr, parent_commit=head,
            )  # fmt: skip
        except FAILURES as error:
            # Asked before anything else: the answer may have been lost on a commit that was made.
            if not target.create_pr and (arrived := _arrived(api, target, local)):
                return arrived
            if _status(error) == 412:
                raise HubError("somebody else changed the repository in the meantime; push again.") from error
            if not _passing(error) or attempt == ATTEMPTS - 1:
                raise
            logger.info(f"  {_reason(error)} Trying again: what has arrived is not sent twice.")
            time.sleep(2**attempt)
    raise HubError("no attempt was made.")


def _anew(item: CommitOperationAdd | CommitOperationDelete) -> Any:
    # huggingface_hub keeps the state of an upload in the operation, and refuses one that has been used.
    return (
        CommitOperationAdd(item.path_in_repo, item.path_or_fileobj) if isinstance(item, CommitOperationAdd) else item
    )


def _arrived(api: HfApi, target: Target, local: dict[str, Path]) -> Any:
    try:
        info = api.repo_info(target.repo, repo_type=target.repo_type, revision=target.branch)
        _compare(api, target, local, str(info.sha))
    except (HubError, *FAILURES):
        return None
    return _Arrived(str(info.sha))


@dataclass
class _Arrived:
    oid: str
    pr_url: str | None = None


def _compare(api: HfApi, target: Target, local: dict[str, Path], commit: str) -> None:
    """Every staged file is there, with the same content.

    Raises:
        HubError: one is not.
    """
    there = _files(api, target, commit)
    wrong = [name for name, path in local.items() if there.get(name) not in content_ids(path)]
    if wrong:
        raise HubError(f"{len(wrong)} files are not on the Hub as they were staged, such as {wrong[0]}.")


def _show(api: HfApi, target: Target, note: Callable[[bool], None]) -> None:
    """The repository is complete: let others see it, unless it is meant to be private."""
    if not target.private:
        try:
            api.update_repo_settings(target.repo, repo_type=target.repo_type, private=False)
        except FAILURES as error:
            raise HubError(
                f"{target.repo} is complete, but still private: {_reason(error)} Push again, or change it in its settings."
            ) from error
    note(False)


def _clean_up(api: HfApi, target: Target, note: Callable[[bool], None]) -> str:
    """Delete the repository that this push made; never one in which anything lies."""
    try:
        try:
            info = api.repo_info(target.repo, repo_type=target.repo_type)
            if not info.private or set(_files(api, target, str(info.sha))) - LEFT_BY_THE_HUB:
                return "The repository is not empty, and was left as it is."
        except RepositoryNotFoundError:
            note(False)
            return "Nothing is left of it."
        api.delete_repo(target.repo, repo_type=target.repo_type, missing_ok=True)
    except FAILURES:
        return f"An empty private repository {target.repo} may be left; the next push goes on with it."
    note(False)
    return "The repository that had been made for it was deleted again."


def _status(error: BaseException) -> int | None:
    """HTTP status of an error, or of what it was raised from."""
    current: BaseException | None = error
    while current is not None:
        status = getattr(getattr(current, "response", None), "status_code", None)
        if status is not None:
            return int(status)
        current = current.__cause__
    return None


def _passing(error: BaseException) -> bool:
    """Whether waiting may help: the network, too many requests, or the server's own trouble."""
    status = _status(error)
    return status is None or status == 429 or status >= 500


def _reason(error: BaseException) -> str:
    """One line about a failure, without addresses that hold credentials."""
    if isinstance(error, HubError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and not line.startswith("For more")]
    status = _status(error)
    text = " ".join(lines[:2])[:300] or type(error).__name__
    return f"{f'the Hub answered {status}' if status else 'no connection to the Hub, or it broke off'} ({text})."
