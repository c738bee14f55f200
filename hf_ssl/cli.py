"""`hf-ssl VERB`: parse, check every option, call one function, print the next command. No logic here."""

from __future__ import annotations

import dataclasses
import errno
import json
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed, launch
from hf_ssl.core.codes import FOREIGN_WARNING
from hf_ssl.core.commands import LAUNCHED, VERBS, completing, gallery, parser_of, recipe_of
from hf_ssl.core.errors import ConfigError, HfSslError, HfSslWarning, MachineError, nearest, require
from hf_ssl.core.parsing import from_yaml
from hf_ssl.core.skeletons import KINDS, write_skeleton
from hf_ssl.core.stopping import terminable
from hf_ssl.core.summary import hits_summary, summary_of
from hf_ssl.core.terminal import Terminal, modes_of, speaking

if TYPE_CHECKING:
    from hf_ssl.stages.result import StageResult

logger = logging.getLogger(__name__)

# Options that may be given without their name, first of all.
NAMED = {
    **dict.fromkeys(("data", "gap", "adapt", "pretrain", "finetune", "evaluate", "compare", "embed", "predict"), "--data"),
    "report": "--output", "search": "--query", "import-tf": "--source",
}  # fmt: skip
# What these are asked for is what they say: the report, the estimates, the proof, the files.
SPOKEN = ("data", "gap", "check", "import-tf", "push")
# Commands that have the option; the others begin anew, or go on by themselves.
RESUMABLE = ("adapt", "pretrain", "finetune", "compare", "embed", "run", "predict")
# What a user can mend about a file or a machine, for errors that name neither.
REASONS = {
    errno.ENOSPC: "The disk is full. Free some space, or name a folder on another disk with --output",
    errno.EDQUOT: "Your quota of disk space is used up. Free some, or name a folder elsewhere with --output",
    errno.EFBIG: "A file would get longer than this system lets it (`ulimit -f`). Name a folder elsewhere with --output",
    errno.EROFS: "The disk is read-only. Name another folder with --output",
    errno.EACCES: "No permission. Name a folder you may write to with --output",
    errno.EPERM: "Not permitted. Name a folder you may write to with --output",
    errno.ENOTDIR: "A part of the path is a file, not a folder. Name another --output",
    errno.ENAMETOOLONG: "The path is too long. Name a shorter --output",
    errno.ENOENT: "A file or folder went missing while it was needed. Was --output or --data deleted meanwhile?",
    errno.EMFILE: "Too many open files. Raise the limit with `ulimit -n 4096`",
    errno.ENOMEM: "Not enough memory. Lower --per_device_train_batch_size or --max_length",
}


def main(argv: list[str] | None = None) -> int:
    """Entry point.

    Returns:
        0, or 1 for an error the user can mend, or 130 when interrupted (143 by the system: SIGTERM, SIGUSR1).
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    if "_ARGCOMPLETE" in os.environ:
        complete()
    if not tokens or tokens[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    # Read by torch when it makes its first tensor: on Linux, tensors of 2 MB and more then lie on huge pages. Training on
    # processors spends a sixth of its time on page faults without (masked words, MiniLM). This process is the command's own.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mode, words = modes_of(tokens)
    if mode == "brief" and words and words[0] in SPOKEN:
        mode = "verbose"
    try:
        with speaking(mode) as terminal, terminable(), short_warnings():
            _answer(words[0] if words else "", words[1:], terminal, tokens)
            return 0
    except HfSslError as error:
        show_error(error, mode)
    except KeyboardInterrupt as stop:
        print(f"{stop or 'interrupted'}. Go on with: {_again(tokens, words[0])}", file=sys.stderr)
        return getattr(stop, "exit_code", 130)
    except BrokenPipeError:  # `hf-ssl ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        line = everyday(error)
        if line is None and distributed.lost_company(error):
            line = (
                f"another of the {distributed.world_size()} processes has ended; its own message says why. What the last checkpoint holds "
                f"is kept. Go on with: {_again(tokens, words[0])}"
            )
        if line is None:
            where = "Please report it to the maintainers of hf_ssl (an issue at its repository)"
            print(
                f"This is a fault of hf_ssl, not yours. {where}, with the command and what follows.", file=sys.stderr
            )
            raise
        show_error(MachineError(line), mode)
    return 1


def _again(tokens: list[str], verb: str) -> str:
    """The line that goes on, as it was typed."""
    typed = os.environ.get(launch.COMMAND) or shlex.join(["hf-ssl", *tokens])
    return typed if "--resume" in tokens or verb not in RESUMABLE else f"{typed} --resume"


def show_error(error: HfSslError, mode: str) -> None:
    """What went wrong: a line for people, or an object for programs."""
    if mode == "json":
        told = {"code": error.code, "kind": type(error).__name__, "message": str(error)}
        print(json.dumps({"error": told}, ensure_ascii=False))
    else:
        print(f"error: {error} [{error.code}]", file=sys.stderr)


def everyday(error: Exception) -> str | None:
    """A fault of files or of the machine, in a line that says what to do; None for an error of this library.

    Libraries wrap such errors (safetensors and tokenizers in their own), so causes and texts are looked at too.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, MemoryError):
            return f"{REASONS[errno.ENOMEM]}."
        if isinstance(seen, OSError) and seen.errno in REASONS:
            return f"{REASONS[seen.errno]}" + (f": {seen.filename}" if seen.filename else ".")
        known = [reason for number, reason in REASONS.items() if f"os error {number}" in str(seen).lower()]
        if known or os.strerror(errno.ENOSPC) in str(seen):
            return f"{known[0] if known else REASONS[errno.ENOSPC]}."
        if "inline_container" in str(seen) and any(word in str(seen) for word in ("unexpected pos", "failed writing")):
            return f"{REASONS[errno.ENOSPC]}."  # torch.save, which does not say why a file cannot be written
        if type(seen).__name__ == "OutOfMemoryError" or "can't allocate memory" in str(seen):
            return f"{REASONS[errno.ENOMEM]}. ({str(seen).splitlines()[0][:160]})"
        seen = seen.__cause__ or seen.__context__
    return None


@contextmanager
def short_warnings() -> Iterator[None]:
    """Warnings as lines like the library's own, without the file and the line of code."""

    def show(message: Warning | str, *where: object, **more: object) -> None:
        if isinstance(message, HfSslWarning):
            logger.warning(message.text, extra={"code": message.code})
        else:
            logger.warning(str(message), extra={"code": FOREIGN_WARNING})

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def overview() -> str:
    """What `hf-ssl --help` prints."""
    lines = "\n".join(f"  {verb:10} {text}" for verb, text in VERBS.items())
    what = "hf-ssl: adapt a pretrained model to your domain, fine-tune it on a few labels, see whether it helped"
    return f"{what}\n\n{lines}\n\nhf-ssl VERB --help lists the options of a command."


def _answer(verb: str, rest: list[str], terminal: Terminal, typed: list[str]) -> None:
    if verb not in VERBS:
        raise ConfigError(f"No command is called {verb!r}.{nearest(verb, VERBS)} Commands: {', '.join(VERBS)}.")
    helped = [token for token in rest if token not in ("-h", "--help")]
    if helped != rest:
        parser_of(verb, helped).print_help()
    elif verb in LAUNCHED:
        asked, rest = launch.split(rest)
        for_each = _run if verb == "run" else _stage
        for_each(
            verb, rest, terminal, lambda: launch.start(asked, launch.split(typed)[1], typed) if asked.launch else None
        )
    else:
        _call(verb, rest, terminal)


def _call(verb: str, rest: list[str], terminal: Terminal) -> None:
    if verb == "recipes":
        _show_recipes(rest)
    elif verb == "completion":
        print(completion_of(rest[0] if rest else "bash"))
    elif verb == "check":
        _run(verb, rest, terminal)
    elif verb == "demo":
        _demo(rest, terminal)
    elif verb == "doctor":
        _doctor(rest, terminal)
    elif verb == "ui":
        _ui(rest)
    elif verb == "new":
        _new(rest)
    else:
        _stage(verb, rest, terminal)


def _run(verb: str, rest: list[str], terminal: Terminal, checked: Callable[[], None] = lambda: None) -> None:
    from hf_ssl.stages.plan import plan, resolve_recipe

    recipe = {**recipe_of(verb, rest), **parser_of(verb, rest).read(rest[1:])}
    resolve_recipe(recipe)  # before the imports, which take seconds
    checked()
    import hf_ssl

    if verb == "run":
        last = [*plan(recipe)][-1:]

        def ended(stage: str, result: StageResult, options: dict[str, Any]) -> None:
            _show(stage, result, options, terminal, leads_on=[stage] == last)

        hf_ssl.run_recipe(recipe, ended=ended)
    else:
        print(json.dumps(hf_ssl.check(recipe), indent=2))


def _demo(rest: list[str], terminal: Terminal) -> None:
    from hf_ssl.stages.resolve import resolve

    config = resolve("demo", parser_of("demo", rest).read(rest)).config
    from hf_ssl.demo.story import chapters

    for chapter in chapters(config.output, first=config.first):
        terminal.show(chapter)


def _doctor(rest: list[str], terminal: Terminal) -> None:
    from hf_ssl.stages.resolve import resolve

    options = parser_of("doctor", rest).read(rest)
    resolve("doctor", options)
    from hf_ssl.stages.doctor import doctor, summary

    terminal.show(summary(doctor(**options).metrics))


def _ui(rest: list[str]) -> None:
    from hf_ssl.stages.resolve import resolve

    options = resolve("ui", parser_of("ui", rest).read(rest)).config
    require("gradio", "ui")  # before the imports, which take seconds
    from hf_ssl.ui import serve

    serve(options.folder, options.port, options.browser)


def _new(rest: list[str]) -> None:
    from hf_ssl.stages.resolve import resolve

    if len(rest) < 2 or rest[0].startswith("-") or rest[1].startswith("-"):
        raise ConfigError(f"Usage: hf-ssl new objective NAME [--folder FOLDER]. Kinds: {', '.join(KINDS)}.")
    options = resolve("new", parser_of("new", rest[2:]).read(rest[2:])).config
    for path in write_skeleton(rest[0], rest[1], options.folder):
        print(path)


def _show(verb: str, result: StageResult, options: dict[str, Any], terminal: Terminal, leads_on: bool = True) -> None:
    box = summary_of(verb, result.path, result.metrics, result.skipped, options)
    # What a recipe does next by itself need not be typed.
    terminal.show(box if leads_on else dataclasses.replace(box, next=""))


def _stage(verb: str, rest: list[str], terminal: Terminal, checked: Callable[[], None] = lambda: None) -> None:
    from hf_ssl.stages.plan import resolve_stage

    if verb in NAMED and rest and not rest[0].startswith("--"):
        rest = [NAMED[verb], *rest]
    given = parser_of(verb, rest).read(rest)
    options = {**(from_yaml(str(given.pop("config"))) if "config" in given else {}), **given}
    resolve_stage(verb, options)
    checked()
    from hf_ssl.stages.recipe import VERBS as CALLED

    answer = CALLED[verb](**options)
    if verb == "search":
        if terminal.mode != "json":
            terminal.show(hits_summary(answer.metrics["hits"], answer.metrics["vote"]))
        for hit in answer.metrics["hits"] if terminal.mode == "json" else ():
            print(json.dumps(hit, ensure_ascii=False))
    else:
        _show(verb, answer, options, terminal)


def complete() -> None:
    """Answer the shell, which asks in environment variables what may come next, and end."""
    import argcomplete

    argcomplete.autocomplete(completing(shlex.split(os.environ.get("COMP_LINE", ""))[1:]))


def completion_of(shell: str) -> str:
    """Lines for the shell's start file that make it complete `hf-ssl`.

    Raises:
        ConfigError: no such shell.
    """
    import argcomplete

    shells = ("bash", "zsh", "fish", "tcsh", "powershell")
    if shell not in shells:
        raise ConfigError(f"There is no completion for {shell!r}.{nearest(shell, shells)} Known: {', '.join(shells)}.")
    return str(argcomplete.shellcode(["hf-ssl"], shell=shell))


def _show_recipes(rest: list[str]) -> None:
    files = {path.stem: path for path in sorted(gallery().glob("*.yaml"))}
    action, names = (rest[0] if rest else "ls"), rest[1:]
    if action == "ls":
        for name, path in files.items():
            print(f"{name:32} {path.read_text(encoding='utf-8').splitlines()[0].lstrip('# ')}")
        return
    if action not in ("show", "cp") or not names:
        raise ConfigError("Usage: hf-ssl recipes ls | show NAME | cp NAME [FOLDER]")
    if names[0] not in files:
        raise ConfigError(
            f"No recipe is called {names[0]!r}.{nearest(names[0], files)} `hf-ssl recipes ls` lists them."
        )
    if action == "show":
        print(files[names[0]].read_text(encoding="utf-8"), end="")
        return
    target = Path(names[1] if len(names) > 1 else ".") / files[names[0]].name
    if target.exists():
        raise ConfigError(f"{target} exists already; name another folder.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(files[names[0]].read_bytes())
    print(target)


if __name__ == "__main__":
    sys.exit(main())
