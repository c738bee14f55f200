"""The self-supervised objectives on pictures: formulas against naive ones, teachers, ranks, resume, and the collapse drill."""

from __future__ import annotations

import copy
import math
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch.nn import functional

pytest.importorskip("PIL.Image")

import ranks  # noqa: E402
from contract_image import Kind, pictures  # noqa: E402
from steps import take_steps  # noqa: E402
from timm_models import timm_folder  # noqa: E402

from hf_ssl.core import distributed  # noqa: E402
from hf_ssl.core.errors import ConfigError, TrainingError  # noqa: E402
from hf_ssl.evaluation.monitor.monitor import Monitor, mean_loss  # noqa: E402
from hf_ssl.modalities.image.files import as_reference  # noqa: E402
from hf_ssl.modalities.image.image import Image  # noqa: E402
from hf_ssl.models import adapters  # noqa: E402
from hf_ssl.objectives import losses  # noqa: E402
from hf_ssl.objectives.base import view_pairs  # noqa: E402
from hf_ssl.objectives.dino import DINO, block_mask  # noqa: E402
from hf_ssl.objectives.distill import Distill  # noqa: E402
from hf_ssl.objectives.mae import MAE, patches  # noqa: E402
from hf_ssl.objectives.simclr import SimCLR  # noqa: E402
from hf_ssl.objectives.simmim import SimMIM  # noqa: E402
from hf_ssl.objectives.vicreg import VICReg  # noqa: E402
from hf_ssl.training.callbacks import ThroughputCallback  # noqa: E402
from hf_ssl.training.module import LossOutput  # noqa: E402
from hf_ssl.training.trainer import arguments, train  # noqa: E402

KIND = Kind()
SMALL_DINO = {"prototypes": 32, "head_hidden": 48, "head_out": 16}


def make(cls, folder, method=None, image=None, **options):
    image = image or Image()
    encoder = image.load(str(folder), cls.auto_class)
    torch.manual_seed(0)
    if method:
        encoder = encoder.replace(model=adapters.apply(encoder.model, method, missing=encoder.report.missing, rank=4))
    return cls(encoder, cls.Config(**options))


def batch_of(objective, start=0, end=8, training=True):
    rows = objective.rows(KIND.unlabeled(), seed=0, training=training)
    return objective.collate([rows[i] for i in range(start, end)])


# -- formulas -----------------------------------------------------------------------------------------------------


def naive_nt_xent(first, second, temperature):
    views = [vector / np.linalg.norm(vector) for vector in np.concatenate([first, second])]
    count, total = len(first), 0.0
    for i in range(2 * count):
        partner = (i + count) % (2 * count)
        others = sum(math.exp(views[i] @ views[k] / temperature) for k in range(2 * count) if k != i)
        total -= math.log(math.exp(views[i] @ views[partner] / temperature) / others)
    return total / 2


def test_nt_xent_is_the_double_loop():
    first, second = torch.randn(7, 5, dtype=torch.float64), torch.randn(7, 5, dtype=torch.float64)
    got = losses.nt_xent(first, second, 0.3).item()
    assert got == pytest.approx(naive_nt_xent(first.numpy(), second.numpy(), 0.3), rel=1e-5)
    many = losses.nt_xent(torch.randn(512, 4096), torch.randn(512, 4096), 1.0).item() / 512
    assert many == pytest.approx(math.log(2 * 512 - 1), abs=0.01)
    assert losses.nt_xent(torch.randn(1, 4), torch.randn(1, 4), 0.1).item() == pytest.approx(0, abs=1e-6)


def test_vicreg_is_its_formula():
    a, b = torch.randn(9, 4), torch.randn(9, 4)
    loss, terms = losses.vicreg(a, b, 25.0, 25.0, 1.0)

    def variance(x):
        return np.maximum(0, 1 - np.sqrt(x.var(axis=0) + 1e-4)).mean()

    def covariance(x):
        matrix = np.cov(x.T)
        return (matrix**2).sum() / 4 - (np.diag(matrix) ** 2).sum() / 4

    x, y = a.numpy().astype(np.float64), b.numpy().astype(np.float64)
    wanted = 25 * ((x - y) ** 2).mean() + 25 * (variance(x) + variance(y)) / 2 + covariance(x) + covariance(y)
    assert loss.item() / 9 == pytest.approx(wanted, rel=1e-4) and set(terms) == {
        "invariance",
        "variance",
        "covariance",
    }
    flat = losses.vicreg(torch.ones(4, 3), torch.ones(4, 3), 1, 1, 1)[1]
    assert flat["variance"].item() == pytest.approx(0.99, abs=1e-3), "constant features are punished"


def test_self_distillation_gives_the_teacher_no_gradient():
    student, teacher = torch.randn(3, 6, requires_grad=True), torch.randn(3, 6, requires_grad=True)
    loss = losses.self_distillation(student, teacher, 0.1, 0.04)
    loss.sum().backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0 and loss.shape == (3,)
    target = torch.softmax(teacher / 0.04, -1)
    torch.testing.assert_close(loss, -(target * torch.log_softmax(student / 0.1, -1)).sum(-1))


# -- ranks --------------------------------------------------------------------------------------------------------


def test_two_ranks_have_every_contrastive_loss_and_gradient_of_one(tmp_path):
    torch.manual_seed(1)
    vectors, cuts = torch.randn(2, 8, 6), [[0, 4, 8], [0, 3, 8], [0, 8, 8]]
    results = multiprocessing.Manager().dict()
    multiprocessing.spawn(ranks.on_rank, (2, str(tmp_path / "meeting"), vectors, cuts, results), nprocs=2)
    wanted = ranks.every_loss(vectors, torch.eye(6, requires_grad=True))
    assert len(results) == 6
    for found in results.values():
        for name, (value, gradient) in wanted.items():
            got = [torch.tensor(numbers) for numbers in found[name]]
            torch.testing.assert_close(got[0], value, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(got[1], gradient, atol=1e-5, rtol=1e-4)


# -- teachers -----------------------------------------------------------------------------------------------------


def test_teacher_begins_as_the_student_head_included(tiny_checkpoint):
    objective = make(DINO, tiny_checkpoint("vit"), **SMALL_DINO)
    for source, target in ((objective.model, objective.teacher), (objective.head, objective.teacher_head)):
        for (name, student), teacher in zip(source.named_parameters(), target.parameters(), strict=True):
            assert torch.equal(student, teacher) and student is not teacher and not teacher.requires_grad, name
    objective.train()
    assert not objective.teacher.training and objective.model.training


def test_teacher_moves_once_per_optimizer_step_whatever_the_accumulation(tiny_checkpoint, tmp_path):
    def run(batch, accumulate):
        objective = make(DINO, tiny_checkpoint("vit"), **SMALL_DINO, freeze_last=0.0)
        rows = objective.rows(KIND.unlabeled(), seed=0, training=True)
        options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulate, "max_steps": 2}
        options |= {"learning_rate": 1e-3, "bf16": False, "save_strategy": "no", "report_to": "none"}
        args = arguments(tmp_path / f"{batch}", seed=0, defaults=objective.training_defaults, overrides=options)
        train(objective, rows, args, tmp_path)
        return objective

    whole, parts = run(8, 1), run(2, 4)
    moved = [(t - s).abs().max().item() for _, s, t in whole.averaged()]
    assert max(moved) > 0
    for (name, _, first), (_, _, second) in zip(whole.averaged(), parts.averaged(), strict=True):
        torch.testing.assert_close(first, second, atol=2e-5, rtol=1e-3, msg=name)
    torch.testing.assert_close(whole.center, parts.center, atol=1e-6, rtol=1e-3)
    assert whole.progress == parts.progress == 1


def test_average_and_centre_are_their_formulas(tiny_checkpoint):
    objective = make(DINO, tiny_checkpoint("vit"), **SMALL_DINO, momentum=0.9).train()
    before = [teacher.clone() for _, _, teacher in objective.averaged()]
    batch = batch_of(objective)
    with torch.no_grad():
        large = {"pixel_values": batch["global_pixel_values"]}
        seen = objective.adapted.features(large)
        scores = objective.teacher_head((seen - objective.input_mean) / objective.input_scale)
        for _, student, _ in objective.averaged():
            student.add_(0.1)
    objective(**batch)
    objective.on_optimizer_step(5, 10)
    momentum = 1 - 0.1 * (1 + math.cos(math.pi * 0.5)) / 2
    for old, (_, student, teacher) in zip(before, objective.averaged(), strict=True):
        torch.testing.assert_close(teacher, momentum * old + (1 - momentum) * student)
    torch.testing.assert_close(objective.center, 0.1 * scores.mean(0), atol=1e-6, rtol=1e-4)


def test_student_and_teacher_never_compare_a_view_with_itself(tiny_checkpoint):
    image = Image(Image.Config(local_views=0))
    objective = make(DINO, tiny_checkpoint("vit"), image=image, **SMALL_DINO).train()
    batch = batch_of(objective)
    large = {"pixel_values": batch["global_pixel_values"]}
    scores, target = (
        head((side.features(large) - objective.input_mean) / objective.input_scale)
        for head, side in ((objective.head, objective.encoder), (objective.teacher_head, objective.adapted))
    )
    (s0, s1), (t0, t1) = scores.chunk(2), target.chunk(2)
    wanted = sum(losses.self_distillation(s, t, 0.1, 0.04).sum() for s, t in ((s1, t0), (s0, t1))) / 2 / 8
    torch.testing.assert_close(objective(**batch).loss, wanted, atol=1e-5, rtol=1e-4)


def test_prototypes_stand_still_at_first(tiny_checkpoint):
    objective = make(DINO, tiny_checkpoint("vit"), **SMALL_DINO, freeze_last=0.5).train()
    objective(**batch_of(objective)).loss.backward()
    assert objective.head.prototypes.grad is None
    objective.set_number("progress", 0.6)
    objective(**batch_of(objective)).loss.backward()
    assert objective.head.prototypes.grad.abs().sum() > 0


def test_masked_patches_learn_too(tiny_checkpoint):
    objective = make(DINO, tiny_checkpoint("dinov2"), **SMALL_DINO, ibot=1.0, freeze_last=0.0).train()
    batch = batch_of(objective)
    assert batch["mask"].shape == (16, 4, 4) and batch["mask"].any() and not batch["mask"].all()
    with_term = objective(**batch).loss
    without = objective(**{**batch, "mask": torch.zeros_like(batch["mask"]), "kept": batch["kept"][:0]}).loss
    assert with_term > without
    with_term.backward()
    token = next(m.mask_token for m in objective.student.modules() if hasattr(m, "mask_token"))
    assert token.grad.abs().sum() > 0
    rng = np.random.default_rng(0)
    shares = [block_mask(rng, 16, 16).mean() for _ in range(200)]
    drawn = [share for share in shares if share]
    assert 60 < len(drawn) < 140 and min(drawn) >= 0.09 and max(drawn) <= 0.51
    with pytest.raises(ConfigError, match="bool_masked_pos"):
        make(DINO, tiny_checkpoint("resnet"), **SMALL_DINO, ibot=1.0)


def test_adapters_are_averaged_and_frozen_weights_shared(tiny_checkpoint):
    objective = make(DINO, tiny_checkpoint("vit"), method="lora", **SMALL_DINO).train()
    own = {p.data_ptr() for p in objective.model.parameters() if not p.requires_grad}
    theirs = {p.data_ptr() for p in objective.teacher.parameters()}
    assert own <= theirs, "one copy of the backbone in memory"
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=1e-2)
    frozen = {n: p.clone() for n, p in objective.model.named_parameters() if not p.requires_grad}
    for step in range(3):
        objective(**batch_of(objective)).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        objective.on_optimizer_step(step + 1, 100)
    assert all(torch.equal(p, frozen[n]) for n, p in objective.model.named_parameters() if n in frozen)
    moved = [p for n, p in objective.teacher.named_parameters() if "lora_B" in n]
    assert moved and all(p.abs().sum() > 0 for p in moved)
    kept = ("lora", "head", "center", "progress", "pooler", "input_")
    assert all(any(part in name for part in kept) for name in objective.state_dict()), list(objective.state_dict())


def test_statistics_of_a_trained_network_are_kept_and_those_of_a_fresh_one_learned(tiny_checkpoint):
    fresh = make(SimCLR, tiny_checkpoint("resnet"), projector_hidden=32, projector_out=8).train()
    fresh(**batch_of(fresh))
    norm = next(m for m in fresh.model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    assert norm.training and norm.running_mean.any()
    trained = SimCLR(fresh.encoder, fresh.config).train()
    before = norm.running_mean.clone()
    trained(**batch_of(trained)).loss.backward()
    assert torch.equal(norm.running_mean, before) and not norm.training and norm.weight.grad.abs().sum() > 0
    own = [m for m in trained.projector.modules() if isinstance(m, torch.nn.BatchNorm1d)]
    assert own and all(m.training for m in own), "the new projector has statistics of its own"


# -- masked models --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm_pixels", [True, False])
@pytest.mark.parametrize("method", [None, "lora"])
def test_masked_autoencoder_loss_and_gradient_are_those_of_transformers(tiny_checkpoint, norm_pixels, method):
    objective = make(MAE, tiny_checkpoint("vit_mae"), method=method, norm_pixels=norm_pixels).eval()
    if method == "lora":  # a fresh adapter adds nothing, and would hide a layer that is not called
        for name, parameter in objective.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(len(name)))
    batch = batch_of(objective, training=False)
    objective.inner.config.norm_pix_loss = norm_pixels
    wanted = objective.model(pixel_values=batch["pixel_values"], noise=batch["noise"]).loss
    wanted.backward()
    gradients = {name: p.grad.clone() for name, p in objective.named_parameters() if p.grad is not None}
    objective.zero_grad()
    loss = objective(**batch).loss
    loss.backward()
    torch.testing.assert_close(loss, wanted, atol=1e-5, rtol=1e-4)
    found = {name: p.grad for name, p in objective.named_parameters() if p.grad is not None}
    assert found.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(
            found[name], gradient, atol=1e-5, rtol=1e-3, msg=lambda text, name=name: f"{name}: {text}"
        )
    assert ((batch["labels"] == 1).sum(1) == 12).all(), "exactly three quarters of 16 patches"
    torch.testing.assert_close(
        objective.inner.unpatchify(patches(batch["pixel_values"], 8)), batch["pixel_values"], atol=0, rtol=0
    )


def test_masked_autoencoder_on_another_size_and_with_an_adapter_on_the_first_layer(tiny_checkpoint):
    objective = make(MAE, tiny_checkpoint("vit_mae"), norm_pixels=False).eval()
    pixels, noise = torch.randn(2, 3, 48, 48), torch.rand(2, 36)
    wanted = objective.model(pixel_values=pixels, noise=noise, interpolate_pos_encoding=True).loss
    torch.testing.assert_close(objective(pixels, noise, torch.ones(2, 36)).loss, wanted, atol=1e-5, rtol=1e-4)
    model = adapters.apply(objective.model, "lora", target_modules=["projection"], rank=2)
    first = MAE(objective.encoder.replace(model=model), objective.config).eval()
    for name, parameter in first.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    batch = batch_of(first, training=False)
    wanted = first.model(pixel_values=batch["pixel_values"], noise=batch["noise"]).loss
    torch.testing.assert_close(first(**batch).loss, wanted, atol=1e-5, rtol=1e-4)


def test_the_decoder_attends_as_the_encoder_does(tiny_checkpoint, tmp_path):
    model = Image().load(str(tiny_checkpoint("vit_mae")), "ViTMAEForPreTraining").model
    kinds = {module.config._attn_implementation for module in model.modules() if hasattr(module, "config")}
    assert kinds == {model.config._attn_implementation}
    model.save_pretrained(tmp_path)
    assert "attn" not in (tmp_path / "config.json").read_text()


def test_simmim_hides_the_same_share_and_looks_at_hidden_pixels_only(tiny_checkpoint):
    for arch in ("vit", "swin", "resnet"):
        objective = make(SimMIM, tiny_checkpoint(arch), mask_ratio=0.5, mask_unit=8).eval()
        batch = batch_of(objective)
        assert objective.square == 8 and ((batch["labels"] == 1).sum(1) == 8).all()
        with torch.no_grad():
            loss = objective(**batch).loss
            visible = (batch["labels"] == -100).view(-1, 1, 4, 4)
            visible = visible.repeat_interleave(8, 2).repeat_interleave(8, 3)
            grid = objective.encoder.patch_features({"pixel_values": batch["pixel_values"]})
            assert grid.shape[-1] * objective.stride == 32
            other = torch.where(visible, batch["pixel_values"], batch["pixel_values"] + 1)
            assert not torch.equal(objective(**{**batch, "pixel_values": other}).loss, loss), arch
        exported = objective.export()
        assert all(getattr(m, "mask_token", None) is None for m in exported.modules()) or arch == "swin"


TIMM = {
    "timm-vit": ("vit_tiny_patch16_224", {"embed_dim": 32, "depth": 2, "num_heads": 2}),
    "timm-dinov3": ("vit_small_patch16_dinov3", {"embed_dim": 64, "depth": 2, "num_heads": 2}),
    "timm-swin": ("swin_tiny_patch4_window7_224", {"embed_dim": 16, "depths": (1, 2), "num_heads": (1, 2)}),
    "timm-convnext": ("test_convnext", {}),
}


@pytest.mark.parametrize("arch", ["dinov3_vit", "dinov2_with_registers", "deit", "swin", "convnext", *TIMM])
@pytest.mark.parametrize("cls", [SimCLR, VICReg, DINO, SimMIM, Distill])
def test_every_objective_continues_every_family(tiny_checkpoint, tmp_path, cls, arch):
    if arch in TIMM:
        folder = timm_folder(tmp_path / "timm", TIMM[arch][0], **TIMM[arch][1])
    else:
        folder = tiny_checkpoint(arch)
    count, side = (4, 224) if arch in TIMM and arch != "timm-convnext" else (8, 160 if arch in TIMM else 32)
    options = {
        DINO: {**SMALL_DINO, "ibot": 0.0 if arch == "convnext" or arch in TIMM else 1.0},
        SimCLR: {"projector_hidden": 32, "projector_out": 8},
        VICReg: {"expander": 16},
        Distill: {"teacher": str(tiny_checkpoint("vit", hidden_size=48))},
    }
    objective = make(cls, folder, **options.get(cls, {})).train()
    take_steps(objective, batch_of(objective, 0, count), 3)
    exported = objective.export().eval()
    objective.adapted.save(tmp_path / "exported", model=exported)
    encoder = Image().load(str(folder))
    again = Image().load(str(tmp_path / "exported"))
    assert again.pooling == encoder.pooling
    assert again.report.backbone_complete and not again.report.missing
    pixels = {"pixel_values": torch.randn(2, 3, side, side)}
    with torch.inference_mode():
        before, after = (side.features(pixels) for side in (encoder, encoder.replace(model=exported)))
        assert not torch.allclose(before, after, atol=1e-6)
        torch.testing.assert_close(again.features(pixels), after, atol=1e-6, rtol=1e-5)


def test_a_network_that_cannot_take_small_crops_is_told_what_to_do(tmp_path):
    folder = timm_folder(tmp_path / "timm", "test_maxvit")
    with pytest.raises(ConfigError, match="--local_views 0"):
        make(DINO, folder, **SMALL_DINO)
    objective = make(DINO, folder, image=Image(Image.Config(local_views=0)), **SMALL_DINO).train()
    assert torch.isfinite(objective(**batch_of(objective, 0, 2)).loss)


@pytest.mark.parametrize("arch", ["timm-vit", "timm-swin"])
def test_timm_networks_at_another_size_are_saved_so(tmp_path, arch):
    import timm
    from transformers import AutoModel

    name, options = TIMM[arch]
    folder = timm_folder(tmp_path / "timm", name, **options)
    image = Image(Image.Config(image_size=112))
    encoder = image.load(str(folder), pooling="native")
    encoder.model.save_pretrained(tmp_path / "saved")
    pixels = torch.randn(2, 3, 112, 112)
    plain = AutoModel.from_pretrained(tmp_path / "saved").eval()
    with torch.inference_mode():
        found = encoder.features({"pixel_values": pixels})
        torch.testing.assert_close(plain(pixels).pooler_output, found, atol=1e-6, rtol=1e-5)
        trained = Image().load(str(folder)).model
        whole = torch.randn(2, 3, 224, 224)
        plain = timm.create_model(name, checkpoint_path=str(folder / "model.safetensors"), **options).eval()
        wanted = plain.forward_features(whole)
        torch.testing.assert_close(trained(whole).last_hidden_state, wanted, atol=1e-6, rtol=1e-5)


def test_a_small_picture_leaves_swin_as_it_was(tiny_checkpoint):
    from transformers import AutoModel

    folder = str(tiny_checkpoint("swin"))
    encoder, plain = Image().load(folder, pooling="mean"), AutoModel.from_pretrained(folder).eval()
    model = encoder.model
    large, small = ({"pixel_values": torch.randn(2, 3, side, side)} for side in (32, 12))
    with torch.inference_mode():
        wanted = plain(**large).last_hidden_state
        torch.testing.assert_close(model(**large).last_hidden_state, wanted)
        for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert torch.isfinite(encoder.replace(model=twin).features(small)).all()
        assert torch.isfinite(encoder.features(small)).all()
        torch.testing.assert_close(model(**large).last_hidden_state, wanted)
        with pytest.raises(RuntimeError, match="must match"):  # when transformers mends it, this can go
            plain(**small)


# -- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [SimCLR, DINO, MAE])
def test_resumed_run_equals_the_uninterrupted_one(tiny_checkpoint, tmp_path, cls):
    folder = tiny_checkpoint("vit_mae" if cls is MAE else "vit")
    options = {DINO: SMALL_DINO, SimCLR: {"projector_hidden": 32, "projector_out": 8}}.get(cls, {})

    def run(name, stop=None, resume=False):
        objective = make(cls, folder, **options)
        rows = objective.rows(KIND.unlabeled(), seed=0, training=True)
        given = {"per_device_train_batch_size": 8, "max_steps": 4, "save_strategy": "steps", "save_steps": 2}
        given |= {"learning_rate": 1e-3, "report_to": "none"}
        args = arguments(tmp_path / name, seed=0, defaults=objective.training_defaults, overrides=given)
        if stop is None:
            train(objective, rows, args, tmp_path / name, resume=resume)
            return objective.state_dict()
        monkey = ThroughputCallback.on_step_end

        def halt(self, args, state, control, **kwargs):
            monkey(self, args, state, control, **kwargs)
            if state.global_step == stop:
                control.should_training_stop = control.should_save = True

        ThroughputCallback.on_step_end = halt
        try:
            train(objective, rows, args, tmp_path / name)
        finally:
            ThroughputCallback.on_step_end = monkey
        return None

    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    whole = run("a")
    run("b", stop=2)
    resumed = run("b", resume=True)
    assert whole.keys() == resumed.keys()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_views_made_by_other_processes_are_the_same(tiny_checkpoint, tmp_path):
    """Two epochs: the workers of the second must know that it is the second."""
    states = []
    for workers in (0, 2):
        objective = make(SimCLR, tiny_checkpoint("vit"), projector_hidden=32, projector_out=8)
        rows = objective.rows(KIND.unlabeled(), seed=0, training=True)
        given = {"per_device_train_batch_size": 8, "max_steps": 4, "learning_rate": 1e-3, "save_strategy": "no"}
        given |= {"dataloader_num_workers": workers, "report_to": "none"}
        args = arguments(tmp_path, seed=0, defaults=objective.training_defaults, overrides=given)
        train(objective, rows, args, tmp_path)
        states.append(objective.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_workers_prepare_views_where_an_accelerator_waits_for_them(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert distributed.loader_workers() == 0, "the cores are needed for training"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    assert distributed.loader_workers() == 8
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert distributed.loader_workers() == 3
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    assert distributed.loader_workers() == 0
    monkeypatch.delenv("ACCELERATE_USE_CPU")
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none=False: "spawn")
    assert distributed.loader_workers() == 0


class _SimSiamWithoutStop(SimCLR):
    """Two views are pulled together and nothing keeps vectors apart: everything becomes one point."""

    def forward(self, labels, num_items_in_batch=None, **inputs):
        vectors = self.encoder.features(inputs)
        first, second = vectors.float().chunk(2)
        return LossOutput(loss=(1 - functional.cosine_similarity(first, second)).mean())


def _drill(cls, folder, tmp_path, steps=60, rate=3e-2, **options):
    objective = make(cls, folder, **options)
    rows = objective.rows(KIND.unlabeled(8), seed=0, training=True)
    held = objective.rows(KIND.unlabeled(), seed=0, training=False)
    given = {"per_device_train_batch_size": 32, "max_steps": steps, "learning_rate": rate, "save_strategy": "no"}
    args = arguments(tmp_path, seed=0, defaults=objective.training_defaults, overrides=given)
    values = [as_reference(picture) for picture in pictures(32, seed=7)]
    monitor = Monitor(
        objective, tmp_path, points=4, patience=0,
        embed=lambda: objective.adapted.embed(values),
        evaluate=lambda: mean_loss(objective, held, 16, False),
        embed_views=lambda: view_pairs(objective, held, 16, False),
    )  # fmt: skip
    train(objective, rows, args, tmp_path, measure=monitor)
    return monitor


def test_collapse_is_seen_and_stops_the_run(tiny_checkpoint, tmp_path):
    with pytest.raises(TrainingError, match="Collapse at step"):
        _drill(_SimSiamWithoutStop, tiny_checkpoint("vit"), tmp_path)


@pytest.mark.parametrize("cls", [SimCLR, VICReg])
def test_healthy_runs_do_not_trip_the_alarm(tiny_checkpoint, tmp_path, cls):
    monitor = _drill(cls, tiny_checkpoint("resnet"), tmp_path, steps=40, rate=2e-3)
    assert len(monitor.history) == 5 and all(np.isfinite(record["alignment"]) for record in monitor.history)
    assert monitor.history[-1]["eval_loss"] < monitor.history[0]["eval_loss"]


def test_uniform_teacher_is_trouble(tiny_checkpoint):
    objective = make(DINO, tiny_checkpoint("vit"), **SMALL_DINO).eval()
    with torch.no_grad():
        objective(**batch_of(objective))
    start = objective.metrics(0.0)
    assert 0 < start["teacher_entropy"] < 0.999 and start["prototypes_used"] > 0
    assert objective.detect_collapse(start, start) is None
    assert "evenly" in objective.detect_collapse({"teacher_entropy": 1.0, "prototypes_used": 1.0}, start)
    assert objective.metrics(0.0) == {}, "each evaluation is counted by itself"


def test_nearly_parallel_features_do_not_make_the_teacher_uniform(tiny_checkpoint):
    """As those of a small masked autoencoder are (mean cosine .999): seen as they are, nothing could be learned from them."""

    def entropy(standardized):
        objective = make(DINO, tiny_checkpoint("vit"), **SMALL_DINO)
        with torch.no_grad():  # the same large vector on top of every feature
            *_, norm = (module for module in objective.model.modules() if isinstance(module, torch.nn.LayerNorm))
            norm.bias.fill_(30.0)
            objective.teacher.load_state_dict(objective.model.state_dict())
        objective.standardized = not standardized
        batch = batch_of(objective.train())  # asks for rows, which measures the features
        with torch.no_grad():
            objective(**batch)
            objective.on_optimizer_step(1, 1000)
            objective.center.div_(0.1)  # as if it had been running for long
            objective.eval()(**batch)
        return objective.metrics(0.0)["teacher_entropy"]

    assert entropy(standardized=False) > 0.99 > 0.95 > entropy(standardized=True)


def test_recipes_resolve_per_objective(tiny_checkpoint):
    for cls in (SimCLR, VICReg):
        objective = make(cls, tiny_checkpoint("vit"))
        batch = batch_of(objective)
        assert batch["pixel_values"].shape == (16, 3, 32, 32)
        assert objective.describe(batch).startswith("8 examples")
    assert copy.deepcopy(KIND.fixed) and Path(str(tiny_checkpoint("vit"))).is_dir()
