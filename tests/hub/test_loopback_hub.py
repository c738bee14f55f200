"""The loopback Hub answers as `huggingface_hub` expects: otherwise what the push tests prove would be worth nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub_process import EXPIRED, OTHER, READ, WRITE, HubProcess


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("hub")).start()
    yield hub
    hub.stop()


def test_create_upload_download(server: HubProcess, tmp_path: Path) -> None:
    """A large file goes up in parts; what comes down is the same; a second upload is no commit; ranges; revisions."""
    out = server.client(
        f"""
        folder = pathlib.Path("{tmp_path}/up"); folder.mkdir()
        (folder / "model.safetensors").write_bytes(os.urandom(20 << 20))
        (folder / "config.json").write_text("{{}}")
        (folder / "sub").mkdir(); (folder / "sub/näme with space.txt").write_text("x")
        print(api.whoami()["name"])
        repo = api.create_repo("alice/one", private=False)
        assert api.create_repo("alice/one", exist_ok=True).repo_id == "alice/one"
        print(status(lambda: api.create_repo("alice/one")))
        first = api.upload_folder(repo_id="alice/one", folder_path=folder)
        again = api.upload_folder(repo_id="alice/one", folder_path=folder)
        assert api.model_info("alice/one").sha == again.oid
        (folder / "config.json").write_text('{{"a": 1}}')
        api.upload_folder(repo_id="alice/one", folder_path=folder)
        got = pathlib.Path(hub.snapshot_download("alice/one"))
        for path in folder.rglob("*"):
            if path.is_file():
                assert (got / path.relative_to(folder)).read_bytes() == path.read_bytes(), path
        old = pathlib.Path(hub.hf_hub_download("alice/one", "config.json", revision=first.oid))
        assert old.read_text() == "{{}}"
        with hub.HfFileSystem().open("alice/one/model.safetensors", "rb", block_size=1 << 20) as file:
            file.seek(5 << 20)
            assert file.read(100) == (folder / "model.safetensors").read_bytes()[5 << 20:][:100]
        print(sorted(f.path for f in api.list_repo_tree("alice/one", recursive=True)))
        print([c.title for c in api.list_repo_commits("alice/one")][-1])
        """,
        tmp_path,
    )
    lines = out.splitlines()
    assert lines[0] == "alice" and lines[1] == "('HfHubHTTPError', 409)"
    assert "'sub/näme with space.txt'" in lines[2] and lines[3] == "initial commit"
    assert any(entry["path"].startswith("/lfs/part/") for entry in server.ask("log")), "20 MB go up in parts"


def test_who_may_what(server: HubProcess, tmp_path: Path) -> None:
    out = server.client(
        f"""
        api.create_repo("acme/secret", private=True)
        api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id="acme/secret")
        bob, reader, expired, nobody = (HfApi(token=t) for t in ("{OTHER}", "{READ}", "{EXPIRED}", False))
        print(status(lambda: bob.model_info("acme/secret")))
        print(status(lambda: nobody.model_info("acme/secret")))
        print(status(lambda: expired.whoami()))
        print(status(lambda: bob.create_repo("acme/his")))
        print(status(lambda: reader.create_repo("alice/read-only")))
        print(status(lambda: api.model_info("alice/none")))
        print(reader.model_info("acme/secret").private)
        api.create_repo("alice/gated")
        api.upload_file(path_or_fileobj=b"x", path_in_repo="a.txt", repo_id="alice/gated")
        api.update_repo_settings("alice/gated", gated="manual")
        print(status(lambda: hub.hf_hub_download("alice/gated", "a.txt", token="{OTHER}")))
        print(pathlib.Path(hub.hf_hub_download("alice/gated", "a.txt", token="{WRITE}")).read_text())
        print(status(lambda: bob.upload_file(path_or_fileobj=b"y", path_in_repo="a.txt", repo_id="alice/gated")))
        """,
        tmp_path,
    )
    assert out.splitlines() == [
        "('RepositoryNotFoundError', 404)", "('RepositoryNotFoundError', 401)", "('HfHubHTTPError', 401)", "('HfHubHTTPError', 403)",
        "('HfHubHTTPError', 403)", "('RepositoryNotFoundError', 404)", "True", "('GatedRepoError', 403)", "x", "('HfHubHTTPError', 403)",
    ]  # fmt: skip


def test_conflicts_retries_and_missing_things(server: HubProcess, tmp_path: Path) -> None:
    """412 on a stale parent; 429 and 5xx are retried by the client; 404s carry the code the client looks for."""
    server.heal()
    server.plant(
        method="POST", path="/api/models/alice/two/preupload", status=429, times=1, headers={"Retry-After": "0"}
    )
    server.plant(method="PUT", path="/lfs/blob/", status=503, times=2)
    server.plant(method="POST", path="/api/models/alice/two/preupload", action="drop", times=1, skip=1)
    out = server.client(
        """
        api.create_repo("alice/two")
        start = api.model_info("alice/two").sha
        add = lambda name, content=b"1": [CommitOperationAdd(name, content)]
        one = api.create_commit("alice/two", add("w.safetensors", b"123"), commit_message="one")
        print(status(lambda: api.create_commit("alice/two", add("b"), commit_message="two", parent_commit=start)))
        api.create_commit("alice/two", add("b"), commit_message="two", parent_commit=one.oid)
        pull = api.create_commit("alice/two", add("c"), commit_message="three", create_pr=True)
        print(pull.pr_num, api.file_exists("alice/two", "c"), api.file_exists("alice/two", "c", revision="refs/pr/1"))
        print(status(lambda: hub.hf_hub_download("alice/two", "nothing")))
        print(status(lambda: hub.hf_hub_download("alice/two", "b", revision="nowhere")))
        print(status(lambda: list(api.list_repo_tree("alice/two", "no/folder"))))
        api.create_commit("alice/two", [CommitOperationDelete("b")], commit_message="four")
        print(api.file_exists("alice/two", "b"))
        api.create_branch("alice/two", branch="dev"); api.create_tag("alice/two", tag="v1")
        refs = api.list_repo_refs("alice/two", include_pull_requests=True)
        print(sorted(r.name for r in [*refs.branches, *refs.tags, *refs.pull_requests]))
        try:
            api.create_commit("alice/two", add("README.md", b"---\\ntags: one\\n---\\n"), commit_message="bad card")
        except ValueError as error:
            print("card refused")
        """,
        tmp_path,
    )
    assert out.splitlines() == [
        "('HfHubHTTPError', 412)", "1 False True", "('RemoteEntryNotFoundError', 404)", "('RevisionNotFoundError', 404)",
        "('RemoteEntryNotFoundError', 404)", "False", "['dev', 'main', 'refs/pr/1', 'v1']", "card refused",
    ]  # fmt: skip
    statuses = [entry.get("status") for entry in server.ask("log") if "/lfs/blob/" in entry["path"]]
    assert statuses.count(503) == 2, "the client has gone on after two refusals"


def test_a_server_that_dies_is_gone_on_with(server: HubProcess, tmp_path: Path) -> None:
    """What arrived before the crash is not sent again after the restart."""
    upload = """
        api.create_repo("alice/three", exist_ok=True)
        files = [CommitOperationAdd(f"{n}.safetensors", bytes([n]) * 1000) for n in range(4)]
        print(status(lambda: api.create_commit("alice/three", files, commit_message="all", num_threads=1)))
        """
    server.heal()
    server.plant(method="POST", path="/lfs/verify", action="die", skip=2)
    with pytest.raises(AssertionError):
        server.client(upload, tmp_path)
    server.wait_for_death()
    assert set(server.files("models/alice/three")) == {".gitattributes"}, "no commit, so nothing half-done to see"
    server.start()
    assert server.client(upload, tmp_path).strip() == "('ok', 200)"
    sent = [entry for entry in server.ask("log") if entry["path"].startswith("/lfs/blob/")]
    assert len(sent) == 1, "three of four blobs were there already"
    assert len(server.files("models/alice/three")) == 5


@pytest.mark.slow
def test_libraries_load_from_it(server: HubProcess, tmp_path: Path) -> None:
    """transformers, peft, timm and datasets, each in the way a user types it, from another process than the upload."""
    pytest.importorskip("timm")
    server.client(
        """
        import datasets, peft, timm, torch, tiny
        torch.manual_seed(0)
        model = tiny.tiny_bert(); model.push_to_hub("alice/bert"); tiny.tiny_tokenizer("bert").push_to_hub("alice/bert")
        base = tiny.transformers.AutoModel.from_pretrained("alice/bert")
        adapter = peft.get_peft_model(base, peft.LoraConfig(target_modules=["query"], init_lora_weights=False))
        adapter.push_to_hub("alice/adapter")
        net = timm.create_model("test_vit", pretrained=False, num_classes=3)
        timm.models.push_to_hf_hub(net, "alice/vit")
        rows = datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": [0, 1, 0]})
        datasets.DatasetDict(train=rows, test=rows.select([0])).push_to_hub("alice/rows")
        """,
        tmp_path,
    )
    out = server.client(
        """
        import datasets, timm, torch
        from peft import PeftModel
        from transformers import AutoModel, AutoTokenizer
        model, tokenizer = AutoModel.from_pretrained("alice/bert"), AutoTokenizer.from_pretrained("alice/bert")
        batch = tokenizer("the nurse", return_tensors="pt")
        plain = model(**batch).last_hidden_state
        adapted = PeftModel.from_pretrained(model, "alice/adapter")
        print(bool((adapted(**batch).last_hidden_state - plain).abs().max() > 0))
        print(timm.create_model("hf-hub:alice/vit", pretrained=True).num_classes)
        print(datasets.load_dataset("alice/rows", split="train")["text"][:2])
        print(next(iter(datasets.load_dataset("alice/rows", split="test", streaming=True)))["text"])
        """,
        tmp_path,
        token=READ,
    )
    assert out.splitlines() == ["True", "3", "['a', 'b']", "a"]


def test_a_hub_data_set_is_streamed_and_a_place_in_it_found_again(server: HubProcess, tmp_path: Path) -> None:
    """Rows come over HTTP as they are asked for; the test split is left alone."""
    out = server.client(
        """
        import datasets
        rows = datasets.Dataset.from_dict({"text": [f"text {n} of the Hub" for n in range(90)]})
        datasets.DatasetDict(train=rows, test=rows.select([0])).push_to_hub("alice/stream", num_shards={"train": 3, "test": 1})
        from hf_ssl.data import load_data
        data = load_data("alice/stream", streaming=True, shuffle_buffer=20, verbose=False)
        blocks = [block for block, _ in zip(data.stream.blocks(0, 1), range(5), strict=False)]
        print(len({text for block in blocks for text in block.rows["text"]}), any("'test'" in text for text in data.report["decisions"]))
        again = next(data.stream.blocks(0, 1, data.stream.place(blocks[3].place.turn, blocks[3].place.state)))
        print(again.digest == blocks[3].digest)
        """,
        tmp_path,
    )
    assert out.splitlines()[-2:] == ["90 True", "True"]
