"""Random views: each method's recipe as published, the same view for the same seed, and color only where it has meaning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

pytest.importorskip("PIL.Image")

from contract_image import pictures  # noqa: E402

import tiny  # noqa: E402
from hf_ssl.core.errors import ConfigError, DataError  # noqa: E402
from hf_ssl.modalities.image import device_views, views  # noqa: E402
from hf_ssl.modalities.image import geometry as geo  # noqa: E402
from hf_ssl.modalities.image.encoder import ImageEncoder  # noqa: E402
from hf_ssl.modalities.image.files import as_reference  # noqa: E402
from hf_ssl.modalities.image.image import Image  # noqa: E402
from hf_ssl.modalities.rng import example_rng  # noqa: E402
from hf_ssl.models.reference import CheckpointRef  # noqa: E402
from hf_ssl.objectives.dino import DINO  # noqa: E402
from hf_ssl.objectives.mae import MAE  # noqa: E402
from hf_ssl.objectives.simclr import SimCLR  # noqa: E402
from hf_ssl.objectives.simmim import SimMIM  # noqa: E402
from hf_ssl.objectives.vicreg import VICReg  # noqa: E402

PLAIN = geo.Geometry(32, 32, None, 2, (0.0,) * 3, (1.0,) * 3)


def rngs(count, seed=0, epoch=0):
    return [example_rng(seed, epoch, number) for number in range(count)]


def store(count=6, side=40, channels=3):
    return [np.ascontiguousarray(np.moveaxis(picture, 2, 0)) for picture in pictures(count, side, channels)]


def test_the_published_recipes():
    simclr = SimCLR.views[0][0]
    assert simclr.scale == (0.08, 1.0) and simclr.color == (0.8, 0.8, 0.8, 0.2) and simclr.color_chance == 0.8
    assert (simclr.gray, simclr.blur, simclr.solarize, simclr.flip) == (0.2, 0.5, 0.0, 0.5)
    first, second = VICReg.views[0]
    assert (first.blur, first.solarize, second.blur, second.solarize) == (1.0, 0.0, 0.1, 0.2), "asymmetric, as in BYOL"
    assert first.color == (0.4, 0.4, 0.2, 0.1)
    large, small = DINO.views
    assert [view.scale for view in large] == [(0.4, 1.0)] * 2 and [v.scale for v in small] == [(0.05, 0.4)] * 6
    assert [(v.blur, v.solarize) for v in large] == [(1.0, 0.0), (0.1, 0.2)] and {v.blur for v in small} == {0.5}
    assert round(224 * small[0].size) == 96
    mae, simmim = MAE.views[0][0], SimMIM.views[0][0]
    assert mae.scale == (0.2, 1.0) and mae.cubic and simmim.scale == (0.67, 1.0)
    assert not any(mae.color) and not any(simmim.color) and not mae.blur, "masked models change no colors"


def test_domains():
    for group in views.fitted(SimCLR.views, "medical", 3) + views.fitted(DINO.views, "medical", 3):
        for view in group:
            assert not any(view.color) and view.gray == view.solarize == 0
    assert views.fitted(SimCLR.views, "satellite", 3)[0][0].flip_vertical == 0.5
    assert views.fitted(SimCLR.views, "satellite", 3)[0][0].turn == 0.75
    assert views.fitted(SimCLR.views, "natural", 1)[0][0].color == (0.8, 0.8, 0.0, 0.0), (
        "gray has brightness and contrast"
    )
    assert len(views.fitted(DINO.views, "natural", 3, local_views=2)[1]) == 2
    assert len(views.fitted(DINO.views, "natural", 3, local_views=0)) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: views.fitted(SimCLR.views, "medical", 3, color=1.0), "medical"),
        (lambda: views.fitted(SimCLR.views, "natural", 6, color=1.0), "6 channels"),
        (lambda: views.fitted(SimCLR.views, "space", 3), "satellite"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ConfigError, match=message):
        call()


def test_views_depend_on_seed_epoch_and_picture_alone():
    image, processor = Image(Image.Config(image_size=64)), tiny.tiny_processor("vit")
    processor.size = {"height": 64, "width": 64}
    encoder = ImageEncoder(image, tiny.tiny_model("vit"), processor)
    items = store(side=72)
    whole = encoder.views(items, rngs(6), DINO.views)
    part = encoder.views(items[2:4], rngs(6)[2:4], DINO.views)
    for together, apart in zip(whole, part, strict=True):
        count = len(together["pixel_values"]) // 6
        picked = together["pixel_values"].unflatten(0, (count, 6))[:, 2:4].flatten(0, 1)
        torch.testing.assert_close(apart["pixel_values"], picked, atol=1e-6, rtol=1e-5)
    other = encoder.views(items, rngs(6, epoch=1), DINO.views)
    assert not torch.equal(other[0]["pixel_values"], whole[0]["pixel_values"])
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(encoder.views(items, rngs(6), DINO.views)[0]["pixel_values"], whole[0]["pixel_values"])
    first, second = whole[0]["pixel_values"].chunk(2)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("channels", [1, 3, 6])
def test_nothing_changes_when_nothing_is_asked(channels):
    items = store(channels=channels, side=32)
    still = views.View(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0)
    made = views.make(items, rngs(6), [still], replace(PLAIN, mean=(0.0,) * channels, std=(1.0,) * channels), 32)
    np.testing.assert_allclose(made.numpy(), np.stack(items) / 255, atol=1e-6)


class Drawn:
    """A generator that gives the numbers it is told to."""

    def __init__(self, numbers: np.ndarray) -> None:
        self.numbers = numbers

    def random(self, count: int) -> np.ndarray:
        assert count == len(self.numbers)
        return self.numbers


def seen(batch: torch.Tensor, draws: np.ndarray, **changes) -> torch.Tensor:
    """What a view makes of whole pictures `(n, channels, side, side)` on the scale of 0 to 1, for given random numbers."""
    view = views.View(scale=(1.0, 1.0), ratio=(1.0, 1.0), flip=0.0, **changes)
    pictures = list((batch * 255).round().byte().numpy())
    return views.make(pictures, [Drawn(row) for row in draws], [view], PLAIN, batch.shape[-1])


def test_color_matrix_is_brightness_contrast_saturation_and_hue_in_turn():
    batch = (torch.rand(4, 3, 8, 8) * 0.4 + 0.3).mul(255).round() / 255
    draws = np.full((4, 16), 0.5)
    draws[:, 8] = 0.0  # jittered
    draws[:, 14] = 0.9  # not made gray
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)

    def colored(column: int, value: float) -> torch.Tensor:
        changed = draws.copy()
        changed[:, column] = value
        return seen(batch, changed, color=(0.4, 0.4, 0.4, 0.1), gray=0.2)

    def close(found: torch.Tensor, wanted: torch.Tensor, atol: float = 1e-5) -> None:
        torch.testing.assert_close(found, wanted, atol=atol, rtol=0)

    close(colored(9, 0.5), batch)
    close(colored(9, 1.0), (batch * 1.4).clamp(0, 1))
    luma = (batch * weights).sum(1).mean((1, 2)).view(-1, 1, 1, 1)
    close(colored(10, 0.0), luma + 0.6 * (batch - luma))
    gray = colored(14, 0.1)
    close(gray[:, 0], gray[:, 1], atol=2e-3)
    turned = colored(12, 1.0)
    close((turned * weights).sum(1), (batch * weights).sum(1), atol=2e-3)
    assert (turned - batch).abs().max() > 0.01, "hue changes, luma stays"


def test_blur_is_a_gaussian():
    functional = pytest.importorskip("torchvision.transforms.v2").functional
    batch = torch.rand(3, 3, 64, 64).mul(255).round() / 255
    draws = np.zeros((3, 16))
    draws[:, 15] = 0.49999
    made = seen(batch, draws, blur=0.5, sigma=(0.1, 7.0))
    wanted = functional.gaussian_blur(batch, [31, 31], [2.0, 2.0])
    inner = (..., slice(16, -16), slice(16, -16))  # at the border torchvision mirrors, here weights are rescaled
    torch.testing.assert_close(made[inner], wanted[inner], atol=2e-3, rtol=0)


@pytest.mark.parametrize("side", [5, 64])
def test_blur_is_the_normalized_gaussian_inside_the_picture(side):
    batch = torch.rand(4, 3, side, side, generator=torch.Generator().manual_seed(0)).mul(255).round() / 255
    draws = np.zeros((4, 16))
    draws[:, 15] = [0.1, 0.3, 0.49, 0.9]
    made = seen(batch, draws, blur=0.5, sigma=(0.1, 2.0 * 224 / side))
    place = np.arange(side)
    for row, draw in enumerate(draws[:3, 15]):
        sigma = 0.1 * side / 224 + (2.0 - 0.1 * side / 224) * draw / 0.5
        band = np.exp(-0.5 * ((place[:, None] - place) / sigma) ** 2)
        band /= band.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(made[row], band @ batch[row].numpy() @ band.T, atol=1e-3)
    torch.testing.assert_close(made[3], batch[3]), "the draw chose three of four"


def test_crops_stay_inside_and_cover_the_asked_share():
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(500):
        top, left, rows, columns = views.crop_box(rng.random(16), 60, 90, views.View(scale=(0.2, 0.6)))
        assert 0 <= top <= 60 - rows and 0 <= left <= 90 - columns and rows > 0 and columns > 0
        shares.append(rows * columns / 5400)
    assert min(shares) > 0.15 and max(shares) < 0.65 and 0.35 < np.mean(shares) < 0.45


def test_satellite_views_turn_and_flip_both_ways():
    square = np.zeros((1, 8, 8), np.uint8)
    square[0, 0, 1] = 255
    view = replace(views.View(scale=(1.0, 1.0), ratio=(1.0, 1.0)), flip_vertical=0.5, turn=0.75)
    made = views.make([square] * 200, rngs(200), [view], replace(PLAIN, mean=(0.0,), std=(1.0,)), 8)
    places = {tuple(np.argwhere(one.numpy()[0] > 0.5)[0]) for one in made}
    assert len(places) == 8, "all eight symmetries of the square occur"


@pytest.mark.parametrize("kind", ["ViTImageProcessor", "ConvNextImageProcessor", "BitImageProcessor"])
def test_pixels_are_those_of_the_processor(kind):
    import transformers

    size = {"height": 30, "width": 30} if kind == "ViTImageProcessor" else {"shortest_edge": 32}
    options = {"crop_size": {"height": 28, "width": 28}} if kind == "BitImageProcessor" else {}
    processor = getattr(transformers, kind)(size=size, **options)
    picture = pictures(1, side=64)[0][:48]
    wanted = processor(picture, return_tensors="pt")["pixel_values"]
    encoder = ImageEncoder(Image(), tiny.tiny_model("vit"), processor)
    made = encoder.collate(encoder.preprocess([as_reference(picture)]))["pixel_values"]
    assert made.shape == wanted.shape
    assert (made - wanted).abs().mean() < 0.02 and (made - wanted).abs().max() < 0.15


def test_timm_processors(tmp_path):
    pytest.importorskip("timm")
    from timm_models import timm_folder

    processor = Image(Image.Config(image_size=48)).load_processor(CheckpointRef(str(timm_folder(tmp_path))))
    shape = geo.geometry(processor)
    assert (shape.height, shape.width) == (48, 48) and shape.shorter == int(48 / processor.data_config["crop_pct"])


def test_wrong_number_of_channels_is_said():
    with pytest.raises(DataError, match="--channels 5"):
        geo.with_channels(np.zeros((4, 4, 5), np.uint8), 3)
    assert geo.with_channels(np.full((2, 2, 1), 7, np.uint8), 3).shape == (2, 2, 3)


def test_store_decodes_each_picture_once_and_large_ones_go_to_disk(monkeypatch):
    references = [as_reference(picture) for picture in pictures(70)]
    calls = []
    real = geo.pixels
    monkeypatch.setattr(geo, "pixels", lambda *args, **kwargs: calls.append(1) or real(*args, **kwargs))
    monkeypatch.setattr(geo, "IN_MEMORY", 1000)
    shape = geo.Geometry(16, 16, None, 2, (0.5,) * 3, (0.5,) * 3)
    made = geo.store(references, Image().reading, shape, 3)
    assert isinstance(made, np.memmap) and made.dtype == np.uint8 and len(calls) == 70
    monkeypatch.setattr(geo, "IN_MEMORY", 1 << 30)
    np.testing.assert_array_equal(made, geo.store(references, Image().reading, shape, 3))


class _Plan:
    """An encoder as far as views need one."""

    def __init__(self, groups, shape):
        self.groups, self.shape = groups, shape

    def host(self, items, seed=0):
        drawn = rngs(len(items), seed)
        return [views.make(items, drawn, group, self.shape, side) for side, group in self.groups]

    def device(self, items, drawn):
        content = torch.from_numpy(np.stack(items))
        return [
            device_views.render(
                content,
                device_views.numbers_of(items, drawn, group, side),
                device_views.facts_of(group, side),
                self.shape,
            )
            for side, group in self.groups
        ]


@pytest.mark.parametrize("domain", ["natural", "satellite"])
@pytest.mark.parametrize("objective", [SimCLR, DINO, VICReg, MAE, SimMIM])
@pytest.mark.parametrize("channels", [1, 3])
def test_views_made_on_a_device_are_those_of_the_host(objective, domain, channels):
    groups = views.fitted(objective.views, domain, channels)
    shape = replace(PLAIN, mean=(0.4,) * channels, std=(0.25,) * channels)
    plan = _Plan([(max(4, round(32 * group[0].size)), group) for group in groups], shape)
    items = store(12, 40, channels)
    for mine, theirs in zip(plan.device(items, rngs(12)), plan.host(items), strict=True):
        assert mine.shape == theirs.shape
        away = (mine - theirs).abs() * 0.25 * 255  # in levels of 255
        assert float(away.mean()) < 0.6, "the uint8 kernel rounds twice"
        # A change of colors makes several levels of one; at the threshold of solarizing, one level decides.
        allowed = 0.01 if any(view.solarize for view in objective.views[0]) else 0.0
        assert float((away > 12).float().mean()) <= allowed


def test_views_on_a_device_do_not_depend_on_the_split_of_a_batch():
    groups = views.fitted(DINO.views, "natural", 3)
    plan = _Plan([(32, groups[0]), (16, groups[1])], PLAIN)
    items, drawn = store(7), rngs(7)
    whole = plan.device(items, rngs(7))
    parts = [plan.device(items[part], drawn[part]) for part in (slice(0, 3), slice(3, 7))]
    for number, group in enumerate(whole):
        split = [part[number].unflatten(0, (len(plan.groups[number][1]), -1)) for part in parts]
        torch.testing.assert_close(torch.cat(split, dim=1).flatten(0, 1), group, atol=1e-5, rtol=0)
