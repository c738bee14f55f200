"""The metadata of a card in the Hub's words, and what of the card that is there now is kept."""

from __future__ import annotations

import re
from typing import Any

import yaml
from huggingface_hub import ModelCard

from hf_ssl.core.errors import HubError

BEGIN, END = "<!-- hf_ssl: your own text -->", "<!-- hf_ssl: end of your own text -->"
INVITATION = "*Between these two comments you may write what you like: it is kept when the model is pushed again.*"
# Identifiers of the Hub's license list that occur with encoders; any other name is written as `other` with its name.
LICENSES = set(
    """apache-2.0 mit openrail bigscience-openrail-m creativeml-openrail-m bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear
    c-uda cc cc0-1.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cdla-sharing-1.0
    cdla-permissive-1.0 cdla-permissive-2.0 wtfpl ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 eupl-1.2 agpl-3.0 gfdl gpl
    gpl-2.0 gpl-3.0 lgpl lgpl-2.1 lgpl-3.0 isc lppl-1.3c ms-pl mpl-2.0 odc-by odbl openrail++ osl-3.0 postgresql ofl-1.1
    ncsa unlicense zlib pddl unknown other llama2 llama3 gemma""".split()
)  # fmt: skip


def kept_text(existing: str | None) -> str:
    """What the user wrote between the markers; the whole body of a card that is not ours."""
    if existing is None:
        return INVITATION
    body = _read(existing).text
    if BEGIN in body and END in body:
        return body.partition(BEGIN)[2].rpartition(END)[0].strip() or INVITATION
    return body.strip() or INVITATION


def merge_metadata(existing: str | None, fields: dict[str, Any]) -> dict[str, Any]:
    """Our fields over those of the card that is there; its other fields, and its further tags, stay."""
    before = {} if existing is None else _read(existing).data.to_dict()
    tags = list(dict.fromkeys([*fields["tags"], *(before.get("tags") or [])]))
    return {**before, **fields, "tags": tags}


def _read(existing: str) -> ModelCard:
    """The card that is on the Hub.

    Raises:
        HubError: its metadata cannot be read, so they could not be kept either.
    """
    try:
        return ModelCard(existing, ignore_metadata_errors=True)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise HubError(
            f"The card on the Hub has metadata that are not YAML ({error}). Repair or delete it there."
        ) from error


def split_license(license: str) -> dict[str, str]:
    """The Hub's fields for a license: an identifier of its list, else `other` and the name."""
    known = license.strip().lower()
    return (
        {"license": known} if known in LICENSES else {"license": "other", "license_name": re.sub(r"\s+", "-", known)}
    )
