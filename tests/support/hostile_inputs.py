"""Inputs that nobody should be able to do harm with: checkpoints, data, settings and run folders. Used by the table of faults.

Each has a name and the words of a command that is given it. Nothing here is harmful by itself but for a file named `harm`, which
is written where one of them gets its code or its paths through.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import random
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

Change = Callable[[Path], object]
Found = dict[str, list[str]]
LINE = b'{"text": "the nurse measured the blood pressure"}\n'


class Payload:
    """What a pickle would do."""

    def __init__(self, harm: Path) -> None:
        self.harm = harm

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.harm,)


def every(place: Path, base: Path, pool: Path, run: Path | None, harm: Path) -> Found:
    """All of them, made in a folder.

    Args:
        place: for what is made.
        base: a good checkpoint.
        pool: good data.
        run: a finished run; None: without the run folders.
        harm: a file that must not be there afterwards.
    """
    train = ["pretrain", "--max_steps=1", "--use_cpu=true", "--near_duplicates=false"]
    found = {name: [*train, f"--data={pool}", *words] for name, words in models(place, base, harm).items()}
    found |= {name: [*train, f"--model={base}", *words] for name, words in texts(place, harm).items()}
    found |= {name: ["data", *words] for name, words in media(place, harm).items()}
    found |= {name: [*train, f"--model={base}", f"--data={pool}", *words] for name, words in settings(place).items()}
    return found | (run_folders(place, run) if run is not None else {})


def slug(name: str) -> str:
    return name.replace(" ", "-").replace("/", "-")


# -- checkpoints ----------------------------------------------------------------------------------------------------------


def models(place: Path, base: Path, harm: Path) -> Found:
    """Checkpoints that nobody should load."""

    def config(**fields: Any) -> Change:
        return edited("config.json", **fields)

    def weights(content: Callable[[bytes], bytes]) -> Change:
        return lambda folder: replaced(folder / "model.safetensors", content)

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Payload(harm)}))

    def remote(folder: Path) -> None:
        config(auto_map={"AutoModelForMaskedLM": "evil.Model", "AutoConfig": "evil.Config"}, model_type="evil")(folder)
        (folder / "evil.py").write_text(f"open({str(harm)!r}, 'w')")

    def remote_tokenizer(folder: Path) -> None:
        edited("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Tokens", None]}, tokenizer_class="Tokens")(
            folder
        )
        (folder / "evil.py").write_text(f"open({str(harm)!r}, 'w')")

    def shards(name: str) -> Change:
        def change(folder: Path) -> None:
            (folder / "model.safetensors").rename(folder.parent / "outside.safetensors")
            index = {"metadata": {}, "weight_map": {"bert.embeddings.word_embeddings.weight": name}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))

        return change

    def shards_as(content: str) -> Change:
        def change(folder: Path) -> None:
            (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
            (folder / "model.safetensors.index.json").write_text(content)

        return change

    def tensors(edit: Callable[[np.ndarray], np.ndarray]) -> Change:
        def change(folder: Path) -> None:
            from safetensors.numpy import load_file, save_file

            file = folder / "model.safetensors"
            loaded = load_file(file)
            first = next(name for name in sorted(loaded) if "attention" in name and name.endswith("query.weight"))
            save_file({**loaded, first: edit(loaded[first])}, file, metadata={"format": "pt"})

        return change

    def text(name: str, content: str | bytes) -> Change:
        return lambda folder: (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    def fifo(name: str) -> Change:
        def change(folder: Path) -> None:
            (folder / name).unlink()
            os.mkfifo(folder / name)

        return change

    def pooling(folder: Path) -> None:
        modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                   {"idx": 1, "name": "1", "path": "../../outside", "type": "os.system"}]  # fmt: skip
        (folder / "modules.json").write_text(json.dumps(modules))

    bomb = yaml_bomb()
    changes: dict[str, Change] = {
        "pickle with a payload": pickled, "remote code": remote, "remote code of a tokenizer": remote_tokenizer,
        "safetensors cut short": weights(lambda file: file[: len(file) // 2]),
        "safetensors with an absurd header": weights(lambda file: b"\xff" * 7 + b"\x7f" + file[8:]),
        "safetensors of noise": weights(lambda file: random.Random(0).randbytes(len(file))),
        "safetensors that is a pipe": fifo("model.safetensors"),
        "safetensors with a tensor of another shape": tensors(lambda tensor: tensor[:, :5].copy()),
        "safetensors with NaN": tensors(lambda tensor: tensor * np.nan),
        "safetensors with whole numbers": tensors(lambda tensor: tensor.astype(np.int8)),
        "shards outside of the folder": shards("../outside.safetensors"), "shards that are none": shards("/etc/passwd"),
        "list of shards that is cut short": shards_as('{"weight_map": {'), "list of shards that is a list": shards_as("[1, 2]"),
        "list of shards with numbers": shards_as('{"weight_map": {"bert.embeddings.word_embeddings.weight": 3}}'),
        "config with a million layers": config(num_hidden_layers=1_000_000), "config with no heads": config(num_attention_heads=0),
        "config with a negative width": config(hidden_size=-32), "config with a trillion words": config(vocab_size=10**12),
        "config with a trillion places": config(max_position_embeddings=10**12), "config with a width of a billion": config(intermediate_size=10**9),
        "config with a text for a width": config(hidden_size="wide"), "config with an unknown activation": config(hidden_act="evil"),
        "config with a dropout of 7": config(hidden_dropout_prob=7), "config with a list for a dropout": config(hidden_dropout_prob=[1]),
        "config with an unknown type": config(model_type="evil"), "config with a number for its type": config(model_type=3),
        "config with an unknown precision": config(dtype="evil", torch_dtype="evil"),
        "config with an unknown quantization": config(quantization_config={"quant_method": "evil"}),
        "config with labels that are none": config(id2label=[1, 2], label2id="x", num_labels=-4),
        "config that is a list": text("config.json", "[]"), "config that is empty": text("config.json", ""),
        "config of another encoding": text("config.json", '{"model_type": "b\xe9rt"}'.encode("latin-1")),
        "config nested deep": text("config.json", '{"a": ' + "[" * 100_000), "config that is a pipe": fifo("config.json"),
        "tokenizer cut short": lambda folder: replaced(folder / "tokenizer.json", lambda file: file[: len(file) // 2]),
        "tokenizer that is empty": text("tokenizer.json", "{}"), "tokenizer nested deep": text("tokenizer.json", "[" * 100_000),
        "tokenizer with a negative maximum": edited("tokenizer_config.json", model_max_length=-5),
        "tokenizer with a text for its maximum": edited("tokenizer_config.json", model_max_length="long"),
        "tokenizer of a class that is none": edited("tokenizer_config.json", tokenizer_class="os.system"),
        "tokenizer with a number for a mask": edited("tokenizer_config.json", mask_token=7),
        "adapter that is none": text("adapter_config.json", '{"peft_type": "evil", "base_model_name_or_path": 3}'),
        "modules that call the system": pooling, "card with a YAML bomb": text("README.md", f"---\n{bomb}---\n"),
        "card with markup for a license": text("README.md", "---\nlicense: '<script>alert(1)</script>'\n---\n"),
    }  # fmt: skip
    found = {}
    for name, change in changes.items():
        folder = place / f"model-{slug(name)}"
        shutil.copytree(base, folder)
        change(folder)
        found[name] = [f"--model={folder}"]
    return found


def edited(name: str, **fields: Any) -> Change:
    """Fields of a JSON file in the folder are other ones."""

    def change(folder: Path) -> None:
        file = folder / name
        file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))

    return change


def replaced(file: Path, content: Callable[[bytes], bytes]) -> None:
    file.write_bytes(content(file.read_bytes()))


def yaml_bomb() -> str:
    """Ten levels of five each: ten million values."""
    pairs = zip("abcdefghij", "bcdefghijk", strict=True)
    return "a: &a [x, x]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 5)}]\n" for a, b in pairs)


# -- data -----------------------------------------------------------------------------------------------------------------


def texts(place: Path, harm: Path) -> Found:
    """Texts and tables that harm, fill the memory or never end."""
    found: Found = {}

    def file(name: str, ending: str, content: bytes) -> Path:
        path = place / f"{slug(name)}{ending}"
        path.write_bytes(content)
        found[name] = [f"--data={path}"]
        return path

    def folder(name: str) -> Path:
        path = place / f"folder-{slug(name)}"
        path.mkdir()
        found[name] = [f"--data={path}"]
        return path

    entry = tarfile.TarInfo("../harm")
    entry.size = len(LINE)
    with tarfile.open(file("tar that writes outside", ".tar.gz", b""), "w:gz") as archive:
        archive.addfile(entry, io.BytesIO(LINE))
    with zipfile.ZipFile(file("zip that writes outside", ".zip", b""), "w") as archive_:
        archive_.writestr("../harm", LINE)
    bomb = gzip.compress(bytes(1 << 20), 1) * 2000  # 2 GB
    file("gzip bomb as csv", ".csv.gz", bomb)
    file("gzip bomb as JSON lines", ".jsonl.gz", bomb)
    file("gzip bomb as text", ".txt.gz", bomb)
    file("gzip cut short", ".csv.gz", gzip.compress(b"text\n" + b"the nurse\n" * 5000)[:-20])
    for name, ending in (
        ("line of a gigabyte in a text", ".txt"), ("line of a gigabyte in JSON lines", ".jsonl"), ("line of a gigabyte in csv", ".csv"),
        ("gigabyte in a JSON file", ".json"),
    ):  # fmt: skip
        path = file(name, ending, b'{"text": "' if "json" in ending else b"text\n")
        os.truncate(path, 1 << 30)  # of NULs, which take no room on the disk
    file("NULs in csv", ".csv", b"text,label\n" + b"the \0 nurse,a\n" * 30)
    file("csv with a quote that never ends", ".csv", b'text\n"' + b"the nurse said that it was late\n" * 300_000)
    file(
        "csv with 20,000 columns",
        ".csv",
        (",".join(f"c{n}" for n in range(20_000)) + "\n" + ("1," * 19_999 + "1\n") * 5).encode(),
    )
    file("deep JSON", ".json", b"[" * 200_000)
    file("deep JSON lines", ".jsonl", (b'{"text": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n") * 3)
    file("JSON with a number of 100,000 digits", ".jsonl", b'{"text": "a", "label": ' + b"9" * 100_000 + b"}\n")
    file(
        "JSON with half of a surrogate pair",
        ".jsonl",
        b"".join(b'{"text": "nurse \\ud800 %d"}\n' % n for n in range(30)),
    )
    file("parquet of noise", ".parquet", b"PAR1" + random.Random(0).randbytes(4000) + b"PAR1")
    bad_utf8(file("parquet with bad UTF-8", ".parquet", b""))
    parquet_bomb(file("parquet of a billion rows", ".parquet", b""))
    file("pickle as data", ".pkl", pickle.dumps(Payload(harm)))
    file(
        "text with terminal codes and marks of direction",
        ".txt",
        "\n".join(f"\x1b[2J\u202e nurse {n} \x07" for n in range(30)).encode(),
    )
    (folder("symlink out of the folder") / "a.txt").symlink_to("/etc/hostname")
    loop = folder("folder that holds itself")
    (loop / "again").symlink_to(loop)
    (loop / "a.txt").symlink_to(loop / "b.txt")
    (loop / "b.txt").symlink_to(loop / "a.txt")
    os.mkfifo(folder("pipe among files") / "a.txt")
    os.mkfifo(place / "pipe.jsonl")
    found["pipe as data"] = [f"--data={place / 'pipe.jsonl'}"]
    found["device without end as data"] = ["--data=/dev/zero"]
    (folder("folder with the name of a table") / "a.csv").mkdir()
    odd = folder("file names that are no text")
    for name in (b"bad\xff\xfe.txt", b"line\nbreak.txt", b"\x1b[31mred.txt", b"<script>.txt", b"--output=x.txt"):
        Path(os.fsdecode(bytes(odd) + b"/" + name)).write_bytes(b"the nurse measured %d\n" % len(name))
    builder = folder("folder with a script of a data set")
    (builder / f"{builder.name}.py").write_text(f"open({str(harm)!r}, 'w')")
    (builder / "a.jsonl").write_bytes(LINE * 3)
    saved = folder("saved data set of noise")
    (saved / "state.json").write_text('{"_data_files": [{"filename": "../outside.arrow"}], "_split": 3}')
    (saved / "dataset_info.json").write_text("[]")
    return found


def bad_utf8(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = pa.array([b"caf\xe9 %d" % n for n in range(40)]).cast(pa.binary()).view(pa.string())
    pq.write_table(pa.table({"text": values}), path)


def parquet_bomb(path: Path) -> None:
    """A billion equal rows in some kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    group = pa.table(
        {"text": pa.DictionaryArray.from_arrays(pa.array(np.zeros(10_000_000, np.int32)), pa.array(["the nurse"]))}
    )
    with pq.ParquetWriter(path, group.schema, compression="zstd") as writer:
        for _ in range(100):
            writer.write_table(group, row_group_size=len(group))


def media(place: Path, harm: Path) -> Found:
    """Pictures, sounds, series and archives of them; each is one of a hundred good ones where the kind has folders."""
    found: Found = {}

    def folder(name: str, modality: str, ending: str, content: bytes) -> Path:
        path = place / f"media-{slug(name)}"
        path.mkdir()
        (path / f"evil{ending}").write_bytes(content)
        found[name] = [f"--data={path}", f"--modality={modality}", "--near_duplicates=false"]
        return path

    for name, ending, content in pictures():
        folder(name, "image", ending, content)
    wav = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data\xff\xff\xff\xff"
    folder("wav that promises four gigabytes", "audio", ".wav", wav + bytes(3200))
    folder("wav of no rate", "audio", ".wav", wav[:24] + bytes(4) + wav[28:] + bytes(3200))
    folder("flac of noise", "audio", ".flac", b"fLaC" + random.Random(0).randbytes(4000))
    folder("mp3 of noise", "audio", ".mp3", b"ID3\4\0\0\x7f\x7f\x7f\x7f" + random.Random(0).randbytes(4000))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000, 100), }"
    npy = b"\x93NUMPY\1\0" + struct.pack("<H", len(header) + 1) + header + b"\n"
    folder("npy with an absurd header", "timeseries", ".npy", b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + b"{" * 1000)
    folder("npy that promises a petabyte", "timeseries", ".npy", npy + bytes(400))
    stream = io.BytesIO()
    np.save(stream, np.array([Payload(harm), None], dtype=object), allow_pickle=True)
    folder("npy with a pickle", "timeseries", ".npy", stream.getvalue())
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as entry,
    ):
        head = header.replace(b"(1000000, 1000000, 100)", b"(1000, 8, 100000)")
        entry.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(head) + 1) + head + b"\n")
        for _ in range(3200):
            entry.write(bytes(1_000_000))
    folder("npz bomb", "timeseries", ".npz", stream.getvalue())
    shapes = place / "media-shapes"
    shapes.mkdir()
    rng = np.random.default_rng(0)
    for number, shape in enumerate([(2, 60), (3, 60), (60,), (2, 2, 60), (), (0, 5)] * 4):
        np.save(shapes / f"{number:02d}.npy", rng.standard_normal(shape))
    found["series of unequal shape"] = [f"--data={shapes}", "--modality=timeseries"]
    tar = place / "media-tar.tar"
    with tarfile.open(tar, "w") as archive_:
        for name in ("../harm.png", "/tmp/harm.png", "a.png"):
            member = tarfile.TarInfo(name)
            member.size = len(png(8, 8))
            archive_.addfile(member, io.BytesIO(png(8, 8)))
        link = tarfile.TarInfo("b.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive_.addfile(link)
        absurd = tarfile.TarInfo("c.png")
        absurd.size = 1 << 50
        archive_.addfile(absurd)
    found["tar of pictures with paths, links and an absurd size"] = [f"--data={tar}", "--modality=image"]
    return found


def png(width: int, height: int, content: bytes | None = None) -> bytes:
    """A grey picture; the content may be too short for its size."""
    import zlib

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = zlib.compress(content if content is not None else bytes((width + 1) * height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def pictures() -> Iterator[tuple[str, str, bytes]]:
    yield "png bomb", ".png", png(60_000, 60_000, bytes(1000))
    yield "png of two billion pixels a side", ".png", png(2**31 - 1, 2**31 - 1, bytes(10))
    yield "png of no size", ".png", png(0, 0)
    yield "jpeg of noise", ".jpg", b"\xff\xd8\xff\xe0" + random.Random(0).randbytes(4000)
    tags = [
        (256, 4, 1, 100_000),
        (257, 4, 1, 100_000),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (279, 4, 1, 2**31),
    ]
    body = struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags) + bytes(4)
    yield "tiff that promises ten gigabytes", ".tif", b"II*\0" + struct.pack("<I", 8) + body
    yield "tiff whose pages go round", ".tif", b"II*\0" + struct.pack("<I", 8) + body[:-4] + struct.pack("<I", 8)
    frame = b"!\xf9\4\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    yield "gif of 200,000 frames", ".gif", b"GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff" + frame * 200_000 + b";"
    yield "svg with entities", ".svg", b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><svg>&a;</svg>'


# -- settings and environment ---------------------------------------------------------------------------------------------


def settings(place: Path) -> Found:
    """Configurations that are none."""
    contents = {
        "YAML bomb": f"{yaml_bomb()}max_steps: *k\n".encode(), "YAML that calls the system": b"a: !!python/object/apply:os.system ['touch harm']\n",
        "YAML of forty megabytes": b"x: y\n" * 8_000_000, "configuration of another encoding": b"title: \xff\xfe\n",
        "configuration nested deep": b"a: " + b"[" * 5000, "configuration with numbers for names": b"1: 2\n", "configuration of NULs": bytes(5000),
    }  # fmt: skip
    found = {}
    for number, (name, content) in enumerate(contents.items()):
        (place / f"settings-{number}.yaml").write_bytes(content)
        found[name] = [f"--config={place / f'settings-{number}.yaml'}"]
    os.mkfifo(place / "pipe.yaml")
    found["configuration that is a pipe"] = [f"--config={place / 'pipe.yaml'}"]
    found["configuration without end"] = ["--config=/dev/zero"]
    found["configuration that is a folder"] = [f"--config={place}"]
    for name, words in {
        "options of a kind of data that are none": ["--modality_options=x"], "number for an objective": ["--objective=3"],
        "objective out of the library": ["--objective=os:system"], "kind of data out of the library": ["--modality=os.path:join"],
        "token as a name of the run": ["--run_name=hf_" + "secret0123456789" * 2],
        "rate that is no number": ["--learning_rate=nan"], "rate below zero": ["--learning_rate=-1"],
        "optimizer with a beta of 2": ["--adam_beta1=2"], "share that is no number": ["--mask_ratio=nan"],
        "batch of a billion": ["--per_device_train_batch_size=1000000000"], "output that is no name": ["--run_name=\x1b[2J\n"],
    }.items():  # fmt: skip
        found[name] = words
    found["token in the environment"] = []
    return found


ENVIRONMENTS = {
    "environment with a world of words": {"WORLD_SIZE": "two"}, "environment with a rank out of the world": {"WORLD_SIZE": "1", "RANK": "7"},
    "environment without a home": {"HOME": "/nonexistent"}, "environment with nowhere for temporary files": {"TMPDIR": "/nonexistent"},
    "environment with a terminal of no width": {"COLUMNS": "0"}, "environment of plain ASCII": {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"},
    "environment with threads of words": {"OMP_NUM_THREADS": "many"},
}  # fmt: skip


# -- run folders ----------------------------------------------------------------------------------------------------------


def run_folders(place: Path, run: Path) -> Found:
    """A finished run of which one file is not what it was."""

    def ledger(edit: Callable[[dict[str, Any]], object]) -> Change:
        def change(folder: Path) -> None:
            content = json.loads((folder / "run.json").read_text())
            edit(content)
            (folder / "run.json").write_text(json.dumps(content))

        return change

    def broken(name: str, content: bytes) -> Change:
        return lambda folder: (folder / name).write_bytes(content)

    def evil_label(folder: Path) -> None:
        file = folder / "finetune" / "model" / "config.json"
        edited(file.name, id2label={"0": "<script>alert(1)</script>", "1": "a|b\n# c"})(file.parent)

    labeled = f"--data={run.parent / 'labeled.jsonl'}"
    report, push = ["report"], ["push", "--repo=alice/tiny", "--dry_run", "--base_model=unpublished"]
    evaluate, search = ["evaluate", labeled, "--near_duplicates=false"], ["search", "--query=nurse"]
    noise = random.Random(0).randbytes(3000)
    changes: dict[str, tuple[Change, list[str]]] = {
        "ledger without stages": (ledger(lambda content: content.pop("stages")), report),
        "ledger of another format": (ledger(lambda content: content.update(format=99)), report),
        "ledger with a list for stages": (ledger(lambda content: content.update(stages=[1])), push),
        "ledger with a number for a stage": (ledger(lambda content: content["stages"].update(finetune=7)), evaluate),
        "ledger with texts for metrics": (ledger(lambda content: content["stages"]["finetune"].update(metrics="good")), report),
        "ledger with paths out of the run": (
            ledger(lambda content: content["stages"]["finetune"].update(outputs={"model": "../../../etc"})), push
        ),
        "ledger that is empty": (broken("run.json", b""), report), "ledger of noise": (broken("run.json", noise), evaluate),
        "ledger nested deep": (broken("run.json", b'{"stages": ' + b"[" * 100_000), report),
        "curve of noise": (broken("pretrain/curve.jsonl", noise), report),
        "curve with texts for losses": (broken("pretrain/curve.jsonl", b'{"step": "x", "loss": "y"}\n[]\n7\n'), report),
        "fine-tuned model of noise": (broken("finetune/model/model.safetensors", noise), evaluate),
        "published model of noise": (broken("finetune/model/model.safetensors", noise), push),
        "fine-tuned model with markup for labels": (evil_label, report),
        "vectors of noise": (broken("embed/embeddings.parquet", noise), search),
        "vectors that are empty": (broken("embed/embeddings.parquet", b""), search),
    }  # fmt: skip
    found = {}
    for name, (change, words) in changes.items():
        folder = place / f"run-{slug(name)}"
        shutil.copytree(run, folder)
        change(folder)
        found[f"run folder: {name}"] = [words[0], f"--output={folder}", *words[1:]]
    return found
