"""Whether the Hub can be reached from here, and what the token may do; the token itself is never shown."""

from __future__ import annotations

from typing import Any

from huggingface_hub import constants, get_session, get_token
from huggingface_hub.utils import build_hf_headers

from hf_ssl.hub.api import FAILURES

SECONDS = 5


def hub_state() -> dict[str, Any]:
    """One question to the Hub.

    Returns:
        `address`; `reachable` (None where the environment forbids to ask); `token`: `"none"`, `"refused"`, or its role (`read`, `write`,
        `fineGrained`); `name` and `organizations` of its owner; `reason` where it was not reached.
    """
    state: dict[str, Any] = {"address": constants.ENDPOINT, "reachable": None, "token": "none"}
    token = get_token()
    if constants.HF_HUB_OFFLINE:
        return {**state, "token": "not asked" if token else "none", "reason": "HF_HUB_OFFLINE is set"}
    headers = build_hf_headers(token=token or False)
    try:
        answer = get_session().get(f"{constants.ENDPOINT}/api/whoami-v2", headers=headers, timeout=SECONDS)
    except FAILURES as error:
        return {**state, "reachable": False, "token": "not asked" if token else "none", "reason": type(error).__name__}
    state["reachable"] = answer.status_code < 500
    if not token:
        return state
    if answer.status_code != 200:
        return {**state, "token": "refused"}
    told = answer.json()
    role = ((told.get("auth") or {}).get("accessToken") or {}).get("role", "unknown")
    names = [str(one.get("name")) for one in told.get("orgs") or ()]
    return {**state, "token": str(role), "name": str(told.get("name", "")), "organizations": names}
