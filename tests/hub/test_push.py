"""What is published loads elsewhere, says what it is, holds nothing private, and survives a Hub that misbehaves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import runs
import yaml
from hub_process import READ, WRITE, HubProcess
from places import REPOSITORY, SUPPORT

PUSH = """
from hf_ssl import push
from hf_ssl.core.errors import HfSslError

def tried(**options):
    try:
        return push(base_model="alice/base", **options).metrics
    except HfSslError as error:
        return f"{type(error).__name__}: {error}"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("push")
    return runs.finished_run(folder / "run", runs.base_checkpoint(folder / "base"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, run: Path) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("hub")).start()
    code = (
        f"api.create_repo('alice/base'); api.upload_folder(repo_id='alice/base', folder_path='{run.parent / 'base'}')"
    )
    hub.client(code, tmp_path_factory.mktemp("first"))
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def published(server: HubProcess, run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Everything a run can publish, pushed once; commits by kind."""
    home = tmp_path_factory.mktemp("pushing")
    code = f"""{PUSH}
import json
where = dict(output="{run}", language=["en"])
done = {{
    "backbone": tried(repo="alice/bones", what="backbone", **where),
    "adapter-of-start": tried(repo="alice/ssl-adapter", what="adapter", **where),
    "model": tried(repo="alice/topics", adapter=True, space="alice/topics-demo", purpose="Sorting notes.", **where),
    "embeddings": tried(repo="alice/vectors", what="embeddings", **where),
}}
print(json.dumps(done))
"""
    return json.loads(server.client(code, home).splitlines()[-1])


@pytest.mark.slow
def test_everything_loads_from_another_process(server: HubProcess, published: dict, tmp_path: Path) -> None:
    assert all(isinstance(metrics, dict) for metrics in published.values()), published
    out = server.client(
        """
        import datasets, transformers
        from peft import PeftModel
        from transformers import AutoModel, AutoModelForMaskedLM, AutoModelForSequenceClassification, pipeline
        classify = pipeline("text-classification", model="alice/topics")
        print(sorted(classify.model.config.label2id), classify("the nurse")[0]["score"] > 0)
        fill = pipeline("fill-mask", model="alice/bones")
        print(len(fill("the " + fill.tokenizer.mask_token, top_k=2)))
        hidden = AutoModel.from_pretrained("alice/bones").config.hidden_size
        import json
        config = json.load(open(hub.hf_hub_download("alice/topics", "adapter/adapter_config.json")))
        base = AutoModelForSequenceClassification.from_pretrained(
            config["base_model_name_or_path"], revision=config["revision"], num_labels=2)
        adapted = PeftModel.from_pretrained(base, "alice/topics", subfolder="adapter").eval()
        batch = classify.tokenizer("a patient remembered", return_tensors="pt")
        one, other = adapted(**batch).logits, classify.model(**batch).logits
        print(float((one - other).abs().max() / other.abs().max()) < 1e-5, config["base_model_name_or_path"])
        rows = datasets.load_dataset("alice/vectors", split="train")
        print(rows.column_names, len(rows), len(rows[0]["vector"]) == hidden, len(rows[0]["id"]))
        card = hub.ModelCard.load("alice/topics")
        print(card.data.base_model, card.data.license, card.data.library_name, card.data.pipeline_tag, card.data.language)
        """,
        tmp_path,
        token=READ,
    )
    assert out.splitlines() == [
        "['clinic', 'works'] True", "2", "True alice/bones", "['id', 'split', 'label', 'vector'] 12 True 32",
        "alice/base apache-2.0 transformers text-classification ['en']",
    ]  # fmt: skip


@pytest.mark.slow
def test_the_files_are_the_right_ones(server: HubProcess, published: dict, run: Path) -> None:
    files = server.files("models/alice/topics")
    assert set(files) == {
        ".gitattributes", "README.md", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "hf_ssl.json",
        "modules.json", "1_Pooling/config.json", "adapter/adapter_config.json", "adapter/adapter_model.safetensors",
        "figures/label_efficiency_frozen_probe.svg",
    }  # fmt: skip
    texts = {name: content for name, content in files.items() if not name.endswith(".safetensors")}
    for name, content in texts.items():
        assert str(run).encode() not in content and WRITE.encode() not in content, name
        assert not any(row["text"].encode() in content for row in runs.rows(60, 0, labeled=True)), (
            f"a user's row in {name}"
        )
    assert "local_files_only" not in json.loads(files["tokenizer_config.json"])
    manifest = json.loads(files["hf_ssl.json"])
    assert manifest["base"]["id"] == "alice/base" and len(manifest["base"]["revision"]) == 40


@pytest.mark.slow
def test_the_card(server: HubProcess, published: dict) -> None:
    text = server.files("models/alice/topics")["README.md"].decode()
    fields = yaml.safe_load(text.split("---")[1])
    assert fields["base_model_relation"] == "finetune" and "model-index" not in fields and "datasets" not in fields
    for part in (
        "Sorting notes.", 'pipeline("text-classification", model="alice/topics")', "| labels | TF-IDF | base | adapted |",
        "(figures/label_efficiency_frozen_probe.svg)", "`clinic`, `works`", "`evaluate` and by `compare`", "95% interval of f1_macro",
    ):  # fmt: skip
        assert part in text, part
    assert "similar content" not in text, "near_duplicates=False: only equal content was looked for"
    svg = server.files("models/alice/topics")["figures/label_efficiency_frozen_probe.svg"].decode()
    assert svg.startswith("<svg") and "<desc>base: 2" in svg
    adapter = yaml.safe_load(server.files("models/alice/ssl-adapter")["README.md"].decode().split("---")[1])
    assert (adapter["library_name"], adapter["base_model_relation"]) == ("peft", "adapter")
    space = server.files("spaces/alice/topics-demo")
    assert set(space) == {".gitattributes", "README.md", "app.py", "requirements.txt"}
    assert b'model="alice/topics"' in space["app.py"]


@pytest.mark.slow
def test_again_is_no_commit_and_kept_text_stays(
    server: HubProcess, published: dict, run: Path, tmp_path: Path
) -> None:
    """A second push does nothing; what the user wrote between the markers, and their metadata, survive a third."""
    where = f'output="{run}", language=["en"], repo="alice/topics", adapter=True'
    code = f"""{PUSH}
again = tried({where}, purpose="Sorting notes.")
print(again["changed"], again["commit"] == api.model_info("alice/topics").sha)
text = open(hub.hf_hub_download("alice/topics", "README.md")).read()
mine = text.replace("*Between these two comments", "## My own words\\n\\nKeep me.\\n\\n*Between")
mine = mine.replace("tags:", "thumbnail: x.png\\ntags:\\n- mine")
api.upload_file(path_or_fileobj=mine.encode(), path_in_repo="README.md", repo_id="alice/topics")
print(tried({where}, purpose="Another purpose.")["changed"])
"""
    out = server.client(code, tmp_path)
    assert out.splitlines() == ["[] True", "['README.md']"]
    text = server.files("models/alice/topics")["README.md"].decode()
    assert "## My own words\n\nKeep me." in text and "Another purpose." in text and "Sorting notes." not in text
    fields = yaml.safe_load(text.split("---")[1])
    assert fields["thumbnail"] == "x.png" and "mine" in fields["tags"] and "hf_ssl" in fields["tags"]


@pytest.mark.slow
def test_a_file_that_is_no_longer_part_goes_away(
    server: HubProcess, published: dict, run: Path, tmp_path: Path
) -> None:
    """Without --adapter the folder adapter/ is removed; a file that the user added stays."""
    code = f"""{PUSH}
tried(output="{run}", repo="alice/shrinks", adapter=True)
api.upload_file(path_or_fileobj=b"mine", path_in_repo="notes.txt", repo_id="alice/shrinks")
print(tried(output="{run}", repo="alice/shrinks")["changed"])
"""
    server.client(code, tmp_path)
    files = server.files("models/alice/shrinks")
    assert "notes.txt" in files and not any(name.startswith("adapter/") for name in files)


@pytest.mark.slow
def test_results_on_a_dataset_of_the_hub(server: HubProcess, published: dict, run: Path, tmp_path: Path) -> None:
    code = f"""{PUSH}
api.create_repo("alice/data", repo_type="dataset")
tried(output="{run}", repo="alice/measured", datasets=["alice/data"], eval_dataset="alice/data")
entries = hub.parse_eval_result_entries(__import__("yaml").safe_load(open(hub.hf_hub_download("alice/measured", ".eval_results/hf_ssl.yaml"))))
print({{(e.dataset_id, e.task_id) for e in entries}} >= {{("alice/data", "accuracy")}}, {{len(e.dataset_revision) for e in entries}})
print(hub.ModelCard.load("alice/measured").data.datasets)
"""
    assert server.client(code, tmp_path).splitlines() == ["True {40}", "['alice/data']"]


def test_dry_run_needs_neither_network_nor_token(run: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(run, tmp_path / "run")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)}
    command = [
        sys.executable,
        "-m",
        "hf_ssl",
        "push",
        "--output",
        str(copy),
        "--repo",
        "alice/dry",
        "--base_model",
        "alice/base",
        "--dry-run",
    ]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "nothing was uploaded" in result.stderr and "model.safetensors" in result.stderr
    assert "next:" not in result.stderr, "there is no address to open"
    assert (copy / "hub" / "alice--dry" / "README.md").is_file()


def hostile(folder: Path, run: Path, *few: str) -> list[dict]:
    command = [sys.executable, str(SUPPORT / "hostile.py"), str(folder), str(run), *few]
    online = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}  # of the loopback Hub
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=online)
    lines = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    assert lines, result.stderr[-3000:]
    assert {line["name"]: line["problems"] for line in lines if line["problems"]} == {}
    assert result.returncode == 0, result.stderr[-3000:]
    return lines


def test_hostile_pushes_a_few(run: Path, tmp_path: Path) -> None:
    lines = hostile(tmp_path, run, "few")
    assert len(lines) >= 15 and {line["outcome"] for line in lines} == {"refused", "published"}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hostile_pushes_all(run: Path, tmp_path: Path) -> None:
    lines = hostile(tmp_path, run)
    assert len(lines) >= 100
    assert sum(line["died"] for line in lines) >= 5, "the server was to die in the middle of pushes"


def test_embeddings_of_a_local_model_are_staged_without_its_path(run: Path, tmp_path: Path) -> None:
    """A dry run, so it is quick: the stamp names the model in public words and keeps the hash of its weights."""
    import pyarrow.parquet as pq

    from hf_ssl import push

    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    push(output=str(copy), repo="alice/vectors", what="embeddings", base_model="alice/base", dry_run=True)
    (file,) = (copy / "hub" / "alice--vectors").rglob("*.parquet")
    stamp = json.loads(pq.read_schema(file).metadata[b"hf_ssl.stamp"])
    assert stamp["model"] == "alice/base, adapted" and len(stamp["weights_sha"]) > 16
    assert str(run).encode() not in file.read_bytes()


@pytest.mark.slow
def test_what_a_run_answers_with_is_fetched_from_the_hub(server: HubProcess, published: dict, tmp_path: Path) -> None:
    """Beside a start that is on the Hub, at a commit, and without a word about how the data are read."""
    code = f"""{PUSH}
import hf_ssl, runs
def late(count, seed):  # the network's window ends before what tells the topics apart: words answer
    return [{{**row, "text": f"one two three four five six {{row['text']}}"}} for row in runs.rows(count, seed, labeled=True)]
hf_ssl.finetune(data=late(40, 0), output="run", model="alice/base", peft="linear-probe", near_duplicates=False, test_fraction=0, max_length=6)
print(sorted(name for name in tried(output="run", repo="alice/answers", answer=True)["files"] if name.startswith("answer/")))
asked = [row["text"] for row in late(6, 5)]
theirs, own = hf_ssl.load_answer("alice/answers"), hf_ssl.load_answer("run")
print(theirs, float(abs(theirs.probabilities(asked) - own.probabilities(asked)).max()) < 1e-4)
"""
    out = server.client(code, tmp_path).splitlines()
    assert out[0] == "['answer/teacher.json', 'answer/teacher.safetensors']"
    assert out[1].startswith("Answer(2 classes, by the vote of") and out[1].endswith("True")
