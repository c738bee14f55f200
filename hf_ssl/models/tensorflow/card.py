"""The card of an imported model: where it comes from, how far it is proved, how to use it."""

from __future__ import annotations

from pathlib import Path

import yaml

from hf_ssl.models.tensorflow.families.base import Family
from hf_ssl.models.tensorflow.importing import ImportReport

_USE = {
    "BertForMaskedLM": "AutoModelForMaskedLM", "AlbertForMaskedLM": "AutoModelForMaskedLM",
    "ElectraForMaskedLM": "AutoModelForMaskedLM", "BertForPreTraining": "AutoModelForMaskedLM",
    "AlbertForPreTraining": "AutoModelForMaskedLM", "ElectraForPreTraining": "AutoModelForPreTraining",
}  # fmt: skip


def write_card(folder: Path, report: ImportReport, family: Family, name: str) -> None:
    """Write `README.md`.

    Args:
        name: what the card calls the source: the handle, or the folder's own name, never a path of this machine.
    """
    fields: dict[str, object] = {
        "tags": ["hf_ssl", "tensorflow-hub", family.modality],
        "library_name": "timm" if report.architecture == "AutoModel" else "transformers",
    }
    if report.license:
        fields["license"] = report.license
    processor = "AutoTokenizer" if family.modality == "text" else "AutoImageProcessor"
    model = _USE.get(report.architecture, "AutoModel")
    proved = "\n".join(f"{number}. {text}" for number, text in enumerate(report.levels(), start=1))
    notes = "".join(f"- {note}\n" for note in report.notes)
    left = "".join(f"- {len(names)} variables left out: {reason}.\n" for reason, names in report.left_out.items())
    license = report.license or "unknown; the page of the model at TensorFlow Hub or Kaggle says it"
    body = f"""# {name}, imported from TensorFlow

{report.family} ({report.architecture}, {report.parameters:,} parameters) read from the TensorFlow checkpoint `{name}` by
[hf_ssl](https://pypi.org/project/hf-ssl/), without TensorFlow. Nothing was trained. License: {license}.

```python
from transformers import {model}, {processor}

model = {model}.from_pretrained("FOLDER")
processor = {processor}.from_pretrained("FOLDER")
```

## How far it is the same model

{proved}

{left}{notes}"""
    front = yaml.safe_dump(fields, sort_keys=True, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{front}---\n\n{body.rstrip()}\n", encoding="utf-8")
