"""A hundred pushes that should not go well, against a Hub on loopback. Run by test_push.py; also by hand:

    python tests/support/hostile.py FOLDER RUN [few]

RUN is a folder from `runs.finished_run`, its base beside it.

After every single one: no public repository is incomplete, none holds a token or a path of this machine, whatever is
public loads and has finite weights, and what was there before is still there. A case says whether its push must fail
(`refused`), or must come through in spite of the fault (`published`), or may do either (`either`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]

from hub_process import EXPIRED, OTHER, READ, WRITE, HubProcess  # noqa: E402


@dataclass
class Case:
    """One push.

    Args:
        name: of the case, and of the repository.
        expected: `"refused"`, `"published"` or `"either"`.
        says: what the error must mention.
        change: what is done to the run folder first.
        options: of push, over the usual ones.
        token: to push with.
        faults: planted on the server.
        before: called with the API of the owner, to put something there first.
        few: belongs to the small part that runs every time.
    """

    name: str
    expected: str
    says: str = ""
    change: Callable[[Path], None] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    token: str | None = WRITE
    faults: list[dict[str, Any]] = field(default_factory=list)
    before: Callable[[Any, str], None] | None = None
    few: bool = False


def edit_json(name: str, **fields: Any) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "finetune" / "model" / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))

    return change


def edit_ledger(edit: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        ledger = json.loads((run / "run.json").read_text())
        edit(ledger)
        (run / "run.json").write_text(json.dumps(ledger))

    return change


def edit_tensor(value: float, where: str = "finetune/model/model.safetensors") -> Callable[[Path], None]:
    def change(run: Path) -> None:
        from safetensors.torch import load_file, save_file

        tensors = load_file(run / where)
        name = sorted(tensors)[3]
        tensors[name] = tensors[name].clone()
        tensors[name].view(-1)[0] = value
        save_file(tensors, run / where, metadata={"format": "pt"})

    return change


def write(name: str, content: bytes) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "finetune" / "model" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return change


def cut(name: str, keep: float) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        path = run / "finetune" / "model" / name
        content = path.read_bytes()
        path.write_bytes(content[: int(keep * len(content))])

    return change


def without(*names: str) -> Callable[[Path], None]:
    def change(run: Path) -> None:
        for name in names:
            (run / "finetune" / "model" / name).unlink()

    return change


def other_tokenizer(run: Path) -> None:
    import tiny

    tiny.tiny_tokenizer("roberta").save_pretrained(run / "finetune" / "model")


def pickled(run: Path) -> None:
    import torch
    from safetensors.torch import load_file

    model = run / "finetune" / "model"
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()


def no_labels(run: Path) -> None:
    path = run / "finetune" / "model" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(
        json.dumps(
            {name: value for name, value in config.items() if name not in ("id2label", "label2id", "num_labels")}
        )
    )


def card(text: str) -> Callable[[Any, str], None]:
    def before(api: Any, repo: str) -> None:
        api.create_repo(repo)
        api.upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=repo)

    return before


def existing(private: bool = False) -> Callable[[Any, str], None]:
    def before(api: Any, repo: str) -> None:
        api.create_repo(repo, private=private)
        api.upload_file(path_or_fileobj=b"kept", path_in_repo="mine.txt", repo_id=repo)

    return before


def drop_license(ledger: dict[str, Any]) -> None:
    ledger["base"]["license"] = None


def blank_license(ledger: dict[str, Any]) -> None:
    ledger["base"]["license"] = "  "


def other_weights(ledger: dict[str, Any]) -> None:
    ledger["base"]["weights_sha"] = "0" * 64


def nothing_done(ledger: dict[str, Any]) -> None:
    ledger["stages"] = {}


def unfinished(ledger: dict[str, Any]) -> None:
    for entry in ledger["stages"].values():
        entry["status"] = "failed"


SECRET = "hf_" + "Zq7" * 11 + "x"
BASE: dict[str, Any] = {"base_model": "alice/base"}


def cases() -> list[Case]:
    """All of them: what is wrong with the run, with the request, with the account, with the Hub."""
    found = [
        Case("no-license", "refused", "license", edit_ledger(drop_license), few=True),
        Case("blank-license", "refused", "license", edit_ledger(blank_license)),
        Case("odd-license", "published", options={"license": "My Own License 3"}),
        Case("local-base", "refused", "--base_model", options={"base_model": None}, few=True),
        Case("base-is-a-path", "refused", "Hub id", options={"base_model": "/models/bert"}),
        Case("base-is-relative", "refused", "Hub id", options={"base_model": "./bert"}),
        Case("base-unknown", "refused", "has no model", options={"base_model": "alice/nowhere"}, few=True),
        Case("base-other-weights", "refused", "did not start from", edit_ledger(other_weights), few=True),
        Case("base-none", "published", options={"base_model": "unpublished"}),
        Case("nan", "refused", "not finite", edit_tensor(float("nan")), few=True),
        Case("infinite", "refused", "not finite", edit_tensor(float("inf"))),
        Case("cut-weights", "refused", "", cut("model.safetensors", 0.5), few=True),
        Case("empty-weights", "refused", "", cut("model.safetensors", 0.0)),
        Case("no-weights", "refused", "No weights", without("model.safetensors")),
        Case("cut-config", "refused", "", cut("config.json", 0.5), few=True),
        Case("no-config", "refused", "", without("config.json")),
        Case("no-processor", "refused", "", without("tokenizer.json", "tokenizer_config.json")),
        Case("wrong-processor", "refused", "", other_tokenizer, few=True),
        Case("wrong-size", "refused", "", edit_json("config.json", hidden_size=64)),
        Case("fewer-layers", "either", "", edit_json("config.json", num_hidden_layers=1)),
        Case("more-layers", "refused", "", edit_json("config.json", num_hidden_layers=3)),
        Case("other-family", "refused", "", edit_json("config.json", model_type="vit")),
        Case("unknown-family", "refused", "", edit_json("config.json", model_type="nonsense")),
        Case("no-labels", "either", "", no_labels),
        Case("pickled-weights", "published", change=pickled),
        Case("training-arguments", "published", change=write("training_args.bin", b"\x80\x04pickle"), few=True),
        Case("foreign-code", "published", change=write("modeling_evil.py", b"import os")),
        Case("user-rows", "published", change=write("train.csv", b"text,label\nsecret row,1\n")),
        Case("optimizer-state", "published", change=write("optimizer.pt", b"\x80")),
        Case("path-in-config", "published", change=edit_json("config.json", _name_or_path="/home/alice/secret/model")),
        Case("path-in-tokenizer", "refused", "absolute path", edit_json("tokenizer_config.json", cache="/home/alice/secret/cache"), few=True),
        Case("windows-path", "refused", "absolute path", edit_json("tokenizer_config.json", cache="C:\\Users\\alice\\cache")),
        Case("token-in-tokenizer", "refused", "token", edit_json("tokenizer_config.json", note=SECRET)),
        Case("token-in-config", "either", "", edit_json("config.json", hub_note=SECRET)),
        Case("token-in-description", "refused", "token", options={"description": f"my token is {WRITE}"}, few=True),
        Case("token-in-title", "refused", "token", options={"title": SECRET}),
        Case("token-in-purpose", "refused", "token", options={"purpose": SECRET}),
        Case("path-in-description", "refused", "the path", options={"description": f"see {Path.home()}/private/notes.txt"}),
        Case("huge-card", "refused", "characters", options={"description": "long " * 100_000}, few=True),
        Case("huge-kept-text", "refused", "characters", before=card("---\nlicense: mit\n---\n" + "mine " * 100_000)),
        Case("card-without-front", "published", before=card("My own words.\n")),
        Case("title-breaks-yaml", "published", options={"title": "a: b: {c"}),
        Case("description-has-markers", "published", options={"description": "--- \n---\n# x"}),
        Case("dataset-is-a-path", "refused", "dataset", options={"datasets": ["./rows"]}),
        Case("unknown-dataset", "refused", "dataset", options={"datasets": ["alice/no-data"]}),
        Case("unknown-eval-dataset", "refused", "dataset", options={"eval_dataset": "alice/no-data"}),
        Case("nothing-done", "refused", "nothing to publish", edit_ledger(nothing_done)),
        Case("unfinished", "refused", "nothing to publish", edit_ledger(unfinished)),
        Case("public-but-private-asked", "refused", "public", before=existing(), options={"private": True}),
        Case("request-without-repo", "refused", "pull request", options={"create_pr": True}),
        Case("request-on-branch", "refused", "pull request", before=existing(), options={"create_pr": True, "revision": "dev"}),
        Case("request", "published", before=existing(), options={"create_pr": True}),
        Case("branch", "published", options={"revision": "dev"}),
        Case("private", "published", options={"private": True}),
        Case("adapter-of-unpublished", "refused", "backbone", options={"what": "adapter"}, few=True),
        Case("adapter-nan", "refused", "", edit_tensor(float("nan"), "finetune/adapter/adapter_model.safetensors"), {"what": "adapter"}),
        Case("unknown-option", "refused", "no such option", options={"licnse": "mit"}),
        Case("training-option", "refused", "trains nothing", options={"learning_rate": 1e-3}),
        Case("no-token", "refused", "token", token=None, few=True),
        Case("expired-token", "refused", "token", token=EXPIRED, few=True),
        Case("read-token", "refused", "only read", token=READ),
        Case("foreign-token", "refused", "may not write", token=OTHER),
        Case("garbage-token", "refused", "token", token="hf_" + "g" * 34),
    ]  # fmt: skip
    names = [
        "",
        "no-owner",
        "a/b/c",
        "alice/..",
        "alice/na me",
        "alice/" + "x" * 120,
        "-alice/x",
        "alice/x.git",
        "alice/x--y",
        "alice/ü",
        "bob/his",
        "acme2/x",
    ]
    found += [Case(f"name-{n}", "refused", options={"repo": name}, few=n in (1, 4)) for n, name in enumerate(names)]
    # Other weights for every fault: what the Hub has already is not sent, and nothing would go wrong on the way.
    for number, case in enumerate(wrong := faults()):
        case.change = edit_tensor(0.001 * (number + 1))
    return found + wrong


def faults() -> list[Case]:
    """Every request a push makes, refused for good, refused once, cut off, answered into the void, or the last one."""
    found = []
    routes = {
        "whoami": ("GET", "/api/whoami-v2"), "create": ("POST", "/api/repos/create"), "yaml": ("POST", "/api/validate-yaml"),
        "preupload": ("POST", "/preupload/"), "batch": ("POST", "/objects/batch"), "put": ("PUT", "/lfs/blob/"),
        "verify": ("POST", "/lfs/verify"), "commit": ("POST", "/commit/"), "show": ("PUT", "/settings"),
    }  # fmt: skip
    for name, (method, path) in routes.items():
        retried = name not in ("whoami", "show")
        once = "published" if retried else "either"
        # Whether a large file has to be sent at all depends on what the Hub has; these say only what must not happen.
        found += [
            Case(f"{name}-500", "either", faults=[{"method": method, "path": path, "status": 500, "times": -1}], few=name == "commit"),
            Case(f"{name}-429-once", once, faults=[{"method": method, "path": path, "status": 429, "headers": {"Retry-After": "0"}}]),
            Case(f"{name}-drop-once", "either", faults=[{"method": method, "path": path, "action": "drop"}]),
            Case(f"{name}-lost", "either", faults=[{"method": method, "path": path, "action": "lost"}], few=name == "commit"),
            Case(f"{name}-die", "either", faults=[{"method": method, "path": path, "action": "die"}], few=name == "verify"),
        ]  # fmt: skip
    found += [
        Case("commit-412", "refused", "push again", faults=[{"method": "POST", "path": "/commit/", "status": 412}]),
        Case("commit-403", "refused", "403", faults=[{"method": "POST", "path": "/commit/", "status": 403}]),
        Case("put-half", "either", faults=[{"method": "PUT", "path": "/lfs/blob/", "action": "half", "times": 2}]),
        Case("create-403", "refused", "403", faults=[{"method": "POST", "path": "/api/repos/create", "status": 403, "times": -1}]),
        Case("delete-fails-too", "refused", "private", few=True, faults=[
            {"method": "POST", "path": "/commit/", "status": 500, "times": -1},
            {"method": "DELETE", "path": "/api/repos", "status": 500, "times": -1}]),
    ]  # fmt: skip
    return found


class Driver:
    """Runs cases against one server and looks at the whole Hub after each."""

    def __init__(self, root: Path, run: Path) -> None:
        from huggingface_hub import HfApi

        import tiny  # noqa: F401
        from hf_ssl.hub import reload_check

        self.root, self.server, self.api = root, SERVER, HfApi(token=WRITE)
        self.api.create_repo("alice/base")
        self.api.upload_folder(repo_id="alice/base", folder_path=run.parent / "base")
        self.run = run
        self.reload, self.answer = reload_check.check_reload, None

    def push(self, case: Case, run: Path, repo: str) -> tuple[str, str]:
        from hf_ssl import push
        from hf_ssl.core.errors import HfSslError
        from hf_ssl.hub import reload_check

        # What goes wrong on the wire or in the request does not change the weights: the fresh process has passed on them.
        spared = self.answer is not None and (case.faults or case.change is None)
        reload_check.check_reload = (lambda *given: self.answer) if spared else self.remembering
        options = {**BASE, "output": str(run), "repo": repo, **case.options}
        options = {name: value for name, value in options.items() if value is not None}
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            os.environ.pop(name, None)
        try:
            push(token=case.token, **options)
        except HfSslError as error:
            return "refused", f"{type(error).__name__}: {error}"
        except Exception as error:  # whatever it is, it was not foreseen
            return "crashed", f"{type(error).__name__}: {error}"
        return "published", ""

    def remembering(self, *given: Any) -> dict[str, Any]:
        answer = self.reload(*given)
        self.answer = self.answer or {**answer, "printed": ""}
        return answer

    def one(self, case: Case) -> dict[str, Any]:
        run, repo = self.root / "work" / case.name, f"alice/{case.name}"
        shutil.copytree(self.run, run)
        ledger = json.loads((run / "run.json").read_text(encoding="utf-8"))
        ledger.pop("hub", None)  # other tests have published from this run; every case begins as if nobody had
        (run / "run.json").write_text(json.dumps(ledger), encoding="utf-8")
        if case.change is not None:
            case.change(run)
        if case.before is not None:
            case.before(self.api, repo)
        before = {name: self.server.files(name) for name in self.server.repos()}
        for fault in case.faults:
            self.server.plant(**fault)
        outcome, message = self.push(case, run, repo)
        died = self.server.process is not None and self.server.process.poll() is not None
        if died:
            self.server.process = None
            self.server.start()
        self.server.heal()
        problems = self.problems(before, case)
        if outcome == "crashed":
            problems.append(f"an error that does not teach: {message}")
        elif case.expected != "either" and outcome != case.expected:
            problems.append(f"{outcome}, not {case.expected}: {message}")
        if case.says and case.says.lower() not in message.lower():
            problems.append(f"the message does not speak of {case.says!r}: {message}")
        if case.token and case.token in message:
            problems.append("the token is in the message")
        if case.faults and not case.says.startswith("403") and outcome == "refused":
            again = self.push(case, run, repo)
            if again[0] != "published":
                problems.append(f"pushed again on a Hub that works: {again[1]}")
            problems += self.problems(before, case)
        shutil.rmtree(run)
        return {"name": case.name, "outcome": outcome, "message": message[:300], "died": died, "problems": problems}

    def problems(self, before: dict[str, dict[str, bytes]], case: Case) -> list[str]:
        """What is wrong on the Hub now."""
        found = []
        for name, repo in self.server.repos().items():
            for ref in repo["refs"]:
                files = self.server.files(name, ref)
                places = [
                    str(self.root).encode(),
                    str(self.run.parent).encode(),
                    b"/home/alice/secret",
                    b"C:\\\\Users",
                ]
                for path, content in files.items():
                    if any(token.encode() in content for token in (WRITE, READ, EXPIRED, OTHER, SECRET)):
                        found.append(f"a token in {name}/{path}")
                    found += [f"the path {place!r} in {name}/{path}" for place in places if place in content]
                    if path.endswith((".bin", ".pt", ".pkl", ".csv")) or b"secret row" in content:
                        found.append(f"{name} has {path}")
            main, was = self.server.files(name), before.get(name)
            if name not in before and not repo["private"]:
                found += [f"{name} is public without {path}" for path in _needed(main, repo)]
            if was is not None and any(
                main.get(path) != content for path, content in was.items() if path != "README.md"
            ):
                found.append(f"{name} lost what it had")
        return found


def _needed(files: dict[str, bytes], repo: dict[str, Any]) -> list[str]:
    if "dev" in repo["refs"]:
        return []
    if "adapter_config.json" in files:
        return [path for path in ("README.md", "adapter_model.safetensors") if path not in files]
    return [
        path
        for path in ("README.md", "config.json", "model.safetensors", "tokenizer.json", "hf_ssl.json")
        if path not in files
    ]


def main(root: Path, run: Path, few: bool) -> list[dict[str, Any]]:
    """Run the cases; one JSON line each."""
    driver = Driver(root, run)
    results = []
    for case in cases():
        if case.few or not few:
            results.append(driver.one(case))
            print(json.dumps(results[-1]), flush=True)
    return results


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    SERVER = HubProcess(folder / "hub").start()
    os.environ.update(SERVER.environment(folder / "home", token=None))
    try:
        import time

        import huggingface_hub.utils._http as http

        http.time = type("Clock", (), {"sleep": staticmethod(lambda seconds: None), "time": time.time})
        time.sleep = lambda seconds: None
        failed = [result for result in main(folder, Path(sys.argv[2]), sys.argv[3:] == ["few"]) if result["problems"]]
    finally:
        SERVER.stop()
    sys.exit(1 if failed else 0)
