"""A term that holds features near the start's, beside any objective, and is never in what is saved."""

from __future__ import annotations

import pytest
import torch
from contract_image import pictures
from contract_timeseries import waves

import tiny
from hf_ssl.core import plugins
from hf_ssl.modalities.image.image import Image
from hf_ssl.modalities.text.packing import collate_rows
from hf_ssl.modalities.text.text import Text
from hf_ssl.modalities.timeseries.timeseries import TimeSeries
from hf_ssl.training.preserve import Preservation

TRIED = {
    "mlm": ("bert", "AutoModelForMaskedLM", Text(), tiny.corpus(16)[:16]),
    "simcse": ("bert", "AutoModel", Text(), tiny.corpus(16)[:16]),
    "simclr": ("vit", "AutoModel", Image(), pictures(16)),
    "instance-identity": ("patchtst", None, TimeSeries(), [wave.tolist() for wave in waves(16)]),
}


def built(name: str, folder, weight: float):
    import datasets

    arch, head, modality, values = TRIED[name]
    kind = plugins.find("objectives", name)
    torch.manual_seed(0)
    encoder = modality.load(str(folder), kind.auto_class, expect_new=("*",))
    options = {"max_length": 32} if name == "mlm" else {}
    objective = kind(encoder, kind.Config(**options))
    if weight:
        Preservation(objective, objective.encoder.backbone, weight)
    data = datasets.Dataset.from_dict({modality.column: values, "id": [str(i) for i in range(len(values))]})
    return objective, objective.rows(data, seed=0, training=True)


@pytest.fixture(params=list(TRIED))
def tried(request, tiny_checkpoint):
    arch, head, *_ = TRIED[request.param]
    return request.param, tiny_checkpoint(arch, head)


def drift(name: str, folder, weight: float) -> float:
    """How far the vectors of the values move in a few steps."""
    objective, rows = built(name, folder, weight)
    values = TRIED[name][3]
    start = objective.encoder.embed(values)
    optimizer = torch.optim.Adam(objective.parameters(), lr=1e-3)
    objective.train()
    for _ in range(12):
        optimizer.zero_grad()
        objective(**objective.collate([rows[i] for i in range(8)])).loss.backward()
        optimizer.step()
    now = objective.encoder.embed(values)
    return float(1 - torch.cosine_similarity(torch.from_numpy(start), torch.from_numpy(now)).mean())


def test_features_stay_nearer_to_the_start(tried):
    name, folder = tried
    assert drift(name, folder, 10.0) < 0.8 * drift(name, folder, 0.0)


def test_the_term_is_zero_at_the_start_and_not_in_what_is_measured_or_saved(tried):
    name, folder = tried
    plain, rows = built(name, folder, 0.0)
    held, _ = built(name, folder, 5.0)
    assert plain.state_dict().keys() == held.state_dict().keys()
    batch = plain.collate([rows[i] for i in range(6)])
    held.load_state_dict(plain.state_dict())
    for module in (plain, held):
        module.eval()
    torch.testing.assert_close(held(**batch).loss, plain(**batch).loss)
    with torch.no_grad():
        for parameter in held.encoder.backbone.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    held.eval()
    moved = held(**batch).loss
    held.train()
    for module in held.modules():
        if isinstance(module, (torch.nn.Dropout, torch.nn.modules.batchnorm._BatchNorm)):
            module.eval()
    assert held(**batch).loss > moved - 1e-4


def test_masked_words_of_fixed_shapes_are_held_as_others_are(tiny_checkpoint):
    """On an accelerator a batch has places that only fill it up, so that its shapes stay the same."""
    objective, rows = built("mlm", tiny_checkpoint("bert", "AutoModelForMaskedLM"), 5.0)
    pad, some = objective.encoder.processor.pad_token_id, [rows[i] for i in range(6)]
    with torch.no_grad():
        for parameter in objective.encoder.backbone.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    held = [objective.train()(**collate_rows(some, pad, fixed=fixed)).loss.item() for fixed in (False, True)]
    alone, _ = built("mlm", tiny_checkpoint("bert", "AutoModelForMaskedLM"), 0.0)
    alone.load_state_dict(objective.state_dict())
    plain = alone.train()(**collate_rows(some, pad, fixed=True)).loss.item()
    assert held[0] == pytest.approx(held[1], rel=1e-4) and held[0] > plain + 1e-3
