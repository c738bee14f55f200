"""Words of other languages for splits, in columns and in names of folders and files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hf_ssl.core.errors import DataError
from hf_ssl.core.paths import path_below, stem
from hf_ssl.data.readers.files import SPLIT_NAMES, folders_above, split_folder, split_named

if TYPE_CHECKING:
    from hf_ssl.data.readers.folders import ReadOptions

FOREIGN = {
    word: split for split, words in {
        "train": "trainieren|trainings|lernen|lernmenge|lerndaten|übung|trainingsmenge|trainingsdaten|uczenie|treningowy|treningowa|trénink|"
        "trénovací|antrenare|antrenament|kouluttaa|koulutus|entraînement|entrainement|apprentissage|entrenamiento|treino|treinamento|addestramento|trening|"
        "träning|træning|eğitim|обучение|обучающая|тренировка|тренировочная|訓練|学習|训练|訓練集|训练集|학습|훈련",
        "validation": "validieren|validierung|validierungsmenge|validierungsdaten|walidacyjny|walidacyjna|validační|validare|validointi|validatie|"
        "validación|validacion|validação|validacao|validazione|validering|walidacja|doğrulama|валидация|валидационная|проверочная|検証|验证|驗證|"
        "验证集|검증|ontwikkeling|prüfen|pruefen|проверка",
        "test": "testen|tests|teste|testmenge|testdaten|prüfung|pruefung|prüfmenge|kontrolle|testowy|testowa|testovací|testare|testaus|toets|prueba|"
        "prueba final|essai|тест|тестовая|тестирование|テスト|評価|测试|測試|测试集|테스트|평가",
    }.items() for word in words.split("|")
}  # fmt: skip
"""Words of other languages, which are asked about: `prüfen` is to test as well as to validate."""


def refuse_foreign_splits(files: Sequence[Path], root: Path, how: ReadOptions) -> None:
    """Folders or files of which all are called as splits, some in another language, or with a letter behind (`testA`).

    Raises:
        DataError: with the option that says what they mean.
    """
    if how.split_names is not None or how.folder_labels is True or len(files) < 2:
        return
    outer = {(folders_above(path_below(file, root) or file.name) or ("",))[0] for file in files}
    own = {stem(file) for file in files} if len(files) <= 10 else set()
    for names, what in ((outer - {""} if "" not in outer else set(), "folders"), (own, "files")):
        said = {name: _meaning(name) for name in sorted(names)}
        strange = [name for name in said if not _known(name)]
        if len({name[-1:].lower() for name in strange if split_named(name) and name.lower() not in FOREIGN}) > 1:
            continue  # trainA and trainB may be two domains, which is another question
        if len(set(said.values())) > 1 and None not in said.values() and strange:
            known = sorted(
                {word for name in said if (word := split_folder(name, SPLIT_NAMES))}
                | {name.lower() for name in said if name.lower() in SPLIT_NAMES}
            )
            option = [*known, *(f"{name}={said[name]}" for name in strange)]
            raise DataError(
                f"The {what} {', '.join(said)} seem to say the split of what they hold, and not all of these words are known to. Say what they mean: "
                f"split_names={option}; if they are classes: folder_labels=True."
            )


def _known(name: str) -> bool:
    return split_folder(name, SPLIT_NAMES) is not None or name.lower() in SPLIT_NAMES


def _meaning(name: str) -> str | None:
    word = split_folder(name, SPLIT_NAMES)
    return (
        SPLIT_NAMES[word]
        if word
        else FOREIGN.get(name.lower().strip()) or (split_named(name) if name.lower()[:-1] in SPLIT_NAMES else None)
    )
