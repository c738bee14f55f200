"""The mathematics of the audio objectives, on sounds of 0.1 to 20 s, in micro-batches, after a resume."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import transformers
from contract_audio import Kind
from torch.nn import functional

import sounds
import tiny
from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.evaluation.monitor.monitor import mean_loss
from hf_ssl.modalities.audio import backbones, spectrogram
from hf_ssl.modalities.audio.audio import Audio
from hf_ssl.modalities.audio.encoder import AudioEncoder
from hf_ssl.modalities.batching import Asked, by_length
from hf_ssl.modalities.rng import example_rng
from hf_ssl.models.loading import load_model
from hf_ssl.objectives import clips as spans
from hf_ssl.objectives import wav2vec2 as w2v
from hf_ssl.objectives.masked_spectrogram import covered_by_patches

OBJECTIVES = ("wav2vec2", "masked-spectrogram", "masked-waveform", "hubert-units")
AUDIO, KIND = Audio(), Kind()


def dataset(values):
    import datasets

    stored = [{"array": value.tolist(), "sampling_rate": 16_000} for value in values]
    return datasets.Dataset.from_dict({"audio": stored, "id": [f"c{i}" for i in range(len(values))]})


@pytest.fixture
def build(tiny_checkpoint):
    def make(name, arch="wav2vec2", norm="layer", modality=AUDIO, **options):
        cls = plugins.find("objectives", name)
        fields = {"layerdrop": 0.1, "feat_extract_norm": norm} if arch == "wav2vec2" else {}
        folder = str(tiny_checkpoint(arch, cls.auto_class, **fields))
        encoder = modality.load(folder, cls.auto_class, expect_new=("*",))
        torch.manual_seed(0)
        return cls(encoder, cls.Config(**{**KIND.fixed.get(f"objectives/{name}", {}), **options}))

    return make


def batch_of(module, values, training=True):
    rows = module.rows(dataset(values), seed=0, training=training)
    return module.collate([rows[i] for i in range(len(rows))])


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_clips_of_a_tenth_of_a_second_one_and_twenty_train_together(build, name, norm):
    module = build(name, norm=norm)
    values = [sounds.voice(0, 0.1), sounds.voice(1, 1.0), sounds.voice(2, 20.0)]
    batch = batch_of(module, values)
    config = module.backbone.config
    lengths = backbones.frame_count(config, batch["attention_mask"].sum(1))
    longest = int(module.config.crop_seconds * 16_000)
    assert batch["input_values"].shape == (3, longest)
    frames = torch.arange(batch["hidden"].shape[1]) < lengths[:, None]
    assert not (batch["hidden"] & ~frames).any(), "padding is never hidden"
    assert (batch["hidden"].sum(1) >= 2).all() and (frames & ~batch["hidden"]).any(1).all()
    loss = module.train()(**batch).loss
    loss.backward()
    assert torch.isfinite(loss) and all(
        torch.isfinite(p.grad).all() for p in module.parameters() if p.grad is not None
    )
    vector = module.backbone.masked_spec_embed
    assert vector.grad.abs().sum() > 0, "the mask vector is trained"


@pytest.mark.parametrize("name", OBJECTIVES)
def test_accumulation_is_exact_with_unequal_numbers_of_hidden_frames(build, name):
    values = [sounds.voice(seed, length) for seed, length in enumerate((0.15, 1.3, 0.4, 0.8, 0.2, 0.6))]
    module = build(name)
    rows = module.rows(dataset(values), seed=0, training=True)
    module = module.double().train()
    if hasattr(module, "use"):
        module.use.copy_(torch.rand(module.use.shape).double().softmax(-1))  # a codebook that is used unevenly

    def batch(places):
        made = module.collate([rows[i] for i in places])
        return {name: t.double() if t.is_floating_point() else t for name, t in made.items()}

    whole = batch(range(6))
    terms = (whole["labels"] != -100).sum()
    module(**whole, num_items_in_batch=terms).loss.backward()
    wanted = {n: p.grad.clone() for n, p in module.named_parameters() if p.grad is not None}
    module.zero_grad()
    parts = [batch(places) for places in ((0,), (1, 2), (3, 4, 5))]
    assert len({int((part["labels"] != -100).sum()) for part in parts}) == 3
    for part in parts:
        module(**part, num_items_in_batch=terms).loss.backward()
    for name, parameter in module.named_parameters():
        if name in wanted:
            torch.testing.assert_close(parameter.grad, wanted[name], rtol=1e-5, atol=1e-6)


def test_span_masks_hide_what_they_say():
    rng = np.random.default_rng(0)
    shares = [spans.span_mask(500, 0.65, 10, rng).mean() for _ in range(200)]
    assert np.mean(shares) == pytest.approx(1 - np.exp(-0.65), abs=0.02)
    for frames in range(1, 40):
        masks = [spans.span_mask(frames, 0.65, 10, rng) for _ in range(50)]
        counts = np.array([mask.sum() for mask in masks])
        assert all(len(mask) == frames for mask in masks)
        assert (counts == 0).all() if frames < 3 else ((counts >= 2) & (counts < frames)).all()


def test_masks_depend_on_seed_epoch_and_clip_only(build):
    module = build("wav2vec2")
    values = [sounds.voice(seed, 0.5) for seed in range(5)]
    rows = module.rows(dataset(values), seed=3, training=True)
    alone = module.rows(dataset(values[:1]), seed=3, training=True)
    for epoch in (0, 4):
        rows.set_epoch(epoch), alone.set_epoch(epoch)
        place = int(np.flatnonzero(rows.order == 0)[0])
        for name in ("hidden", "negatives", "noise"):
            np.testing.assert_array_equal(rows[place][name], alone[0][name])
    other = module.rows(dataset(values[:1]), seed=4, training=True)
    assert not np.array_equal(other[0]["noise"], alone[0]["noise"])


def test_batches_hold_clips_of_about_one_length():
    lengths = np.random.default_rng(0).integers(1_600, 320_000, size=1_000)
    order = by_length(lengths, spans.BLOCK, example_rng(0, 0, "order"))
    assert sorted(order) == list(range(1_000))
    ordered, shuffled = lengths[order], np.random.default_rng(1).permutation(lengths)

    def padding(values):
        batches = [values[start : start + 16] for start in range(0, 1_000, 16)]
        return 1 - values.sum() / sum(len(batch) * batch.max() for batch in batches)

    assert padding(ordered) < 0.12 < 0.3 < padding(shuffled)
    assert not np.array_equal(order, by_length(lengths, spans.BLOCK, example_rng(0, 1, "order")))


def test_negatives_are_other_hidden_frames_of_the_same_clip():
    rng = np.random.default_rng(0)
    for count in (2, 3, 50):
        drawn = w2v.others(count, 1_000, rng)
        assert drawn.min() == 0 and drawn.max() == count - 1
        assert not (drawn == np.arange(count)[:, None]).any()
    assert w2v.others(1, 5, rng).tolist() == [[0] * 5] and w2v.others(0, 5, rng).shape == (0, 5)


def reference_batch(module):
    batch = batch_of(module, [sounds.voice(seed, length) for seed, length in enumerate((0.5, 0.5, 0.5))])
    hidden, negatives = batch["hidden"], batch["negatives"]
    # The upstream class counts negatives over all frames of the batch, and wants them for every frame.
    places = torch.zeros(*hidden.shape, negatives.shape[1], dtype=torch.long)
    start = 0
    for clip, mask in enumerate(hidden):
        chosen = mask.nonzero()[:, 0] + clip * hidden.shape[1]
        places[clip, mask] = chosen[negatives[start : start + int(mask.sum())]]
        start += int(mask.sum())
    return batch, places


def test_loss_is_that_of_transformers(build):
    """Same masks, same negatives, evaluation (no noise): the sum of both losses, and its gradient, agree."""
    module = build("wav2vec2").double().eval()
    batch, places = reference_batch(module)
    values = batch["input_values"].double()
    theirs = module.model(values, mask_time_indices=batch["hidden"], sampled_negative_indices=places)
    batch = {n: t.double() if t.is_floating_point() else t for n, t in batch.items() if n != "noise"}
    count = batch["hidden"].sum()
    mine = module(**batch, num_items_in_batch=1)
    assert float(mine.scalars["contrastive"]) == pytest.approx(float(theirs.contrastive_loss), rel=1e-6)
    module.use.copy_(mine.scalars["codes"] / count)
    mine = module(**batch, num_items_in_batch=1)
    assert float(mine.loss) == pytest.approx(float(theirs.loss), rel=1e-6)
    wanted = torch.autograd.grad(theirs.loss, module.model.project_hid.weight, retain_graph=True)[0]
    given = torch.autograd.grad(mine.loss, module.model.project_hid.weight)[0]
    torch.testing.assert_close(given, wanted, rtol=1e-3, atol=2e-5)  # both compute cosines in single precision


def test_diversity_has_value_and_gradient_of_the_paper_at_the_batchs_own_use():
    torch.manual_seed(0)
    scores = torch.randn(40, 2, 7, dtype=torch.float64, requires_grad=True)
    use = scores.softmax(-1).mean(0)
    paper = (14 - w2v.perplexity(use).sum()) / 14
    wanted = torch.autograd.grad(paper, scores)[0]
    terms = w2v.diversity_loss(scores.softmax(-1), use.detach())
    assert float(terms.mean()) == pytest.approx(float(paper))
    torch.testing.assert_close(torch.autograd.grad(terms.mean(), scores)[0], wanted)
    assert float(w2v.perplexity(torch.full((1, 7), 1 / 7))) == pytest.approx(7)
    assert float(w2v.perplexity(torch.eye(7)[:1])) == pytest.approx(1)


def test_a_negative_with_the_same_code_is_no_wrong_answer():
    places = Asked.of(np.ones((1, 3), dtype=bool))
    vectors = functional.normalize(torch.randn(3, 4, dtype=torch.float64), dim=-1)
    negatives = torch.tensor([[1], [0], [0]])
    alone = w2v.contrastive_loss(vectors, vectors, torch.tensor([5, 5, 6]), places, negatives, 0.1)
    assert alone[0] == 0 and alone[1] == 0 and alone[2] > 0


def test_gumbel_temperature_is_a_function_of_the_saved_step(build):
    options = {"gumbel_start": 2.0, "gumbel_end": 0.5, "gumbel_decay": 0.9}
    module = build("wav2vec2", **options)
    assert module.gumbel_temperature == 2.0
    for step in range(1, 6):
        module.on_optimizer_step(step, 100)
    assert module.gumbel_temperature == pytest.approx(2 * 0.9**5)
    resumed = build("wav2vec2", **options)
    resumed.load_state_dict(module.state_dict())
    assert resumed.gumbel_temperature == module.gumbel_temperature
    module.on_optimizer_step(1_000, 2_000)
    assert module.gumbel_temperature == 0.5


def test_use_of_the_codebook_is_averaged_over_steps_and_saved(build):
    module = build("wav2vec2").train()
    batch = batch_of(module, [sounds.voice(seed, 0.4) for seed in range(3)])
    module(**batch)
    module.on_optimizer_step(1, 10)
    first = module.use.clone()
    assert not torch.allclose(first, torch.full_like(first, 1 / first.shape[1]))
    torch.testing.assert_close(first.sum(-1), torch.ones(len(first)))
    module.eval()(**batch)
    module.on_optimizer_step(2, 10)
    assert torch.equal(module.use, first), "evaluation does not count"
    assert "use" in module.state_dict() and "step" in module.state_dict()


def test_a_collapsed_codebook_is_reported(build):
    module = build("wav2vec2")
    rows = module.rows(dataset([sounds.voice(seed, 0.5) for seed in range(6)]), seed=0, training=False)
    numbers = mean_loss(module, rows, 3, bf16=False)
    assert module.detect_collapse(numbers, None) is None
    assert 0.3 < numbers["fraction_masked"] < 0.7 and numbers["target_variance"] > 0
    with torch.no_grad():
        module.model.quantizer.weight_proj.weight.zero_()
        module.model.quantizer.weight_proj.bias.copy_(
            torch.arange(len(module.model.quantizer.weight_proj.bias)).float()
        )
    numbers = mean_loss(module, rows, 3, bf16=False)
    assert numbers["codebook_perplexity"] == pytest.approx(2.0)
    assert "codebook collapsed" in module.detect_collapse(numbers, None)


def test_constant_targets_are_reported(build):
    module = build("masked-spectrogram")
    quiet = [np.zeros(8_000, np.float32) + 0.1 for _ in range(4)]
    numbers = mean_loss(module, module.rows(dataset(quiet), seed=0, training=False), 2, bf16=False)
    assert "constant" in module.detect_collapse(numbers, None)
    sound = [sounds.voice(seed, 0.5) for seed in range(4)]
    numbers = mean_loss(module, module.rows(dataset(sound), seed=0, training=False), 2, bf16=False)
    assert module.detect_collapse(numbers, None) is None and numbers["target_variance"] > 0.3


def test_a_checkpoint_without_quantizer_is_refused(build, tiny_checkpoint):
    folder = str(tiny_checkpoint("wav2vec2", "AutoModel"))
    cls = plugins.find("objectives", "wav2vec2")
    with pytest.raises(ConfigError, match="has no quantizer.*masked-spectrogram"):
        cls(AUDIO.load(folder), cls.Config())
    with pytest.raises(ConfigError, match="mask_time_prob"):
        build("masked-spectrogram", mask_time_prob=0.0)


def test_targets_lie_where_the_encoder_looks(build):
    """A click within the receptive field of frames i is in the energies of exactly these frames."""
    module = build("masked-spectrogram")
    stride, field = backbones.stride_and_field(module.backbone.config)
    wave = torch.zeros(1, 4_000)
    wave[0, 2_000] = 1.0
    energies = spectrogram.log_mel(wave, 16_000, field=field, stride=stride, mels=20)
    assert energies.shape[1] == backbones.frame_count(module.backbone.config, 4_000)
    heard = (energies[0] > np.log(spectrogram.FLOOR) + 0.01).any(-1).nonzero()[:, 0].tolist()
    seeing = [i for i in range(energies.shape[1]) if stride * i <= 2_000 < stride * i + field]
    assert set(heard) <= set(seeing) and len(heard) >= len(seeing) - 2


def test_frames_of_released_layouts():
    config = transformers.Wav2Vec2Config()
    assert backbones.stride_and_field(config) == (320, 400)
    assert [backbones.frame_count(config, n) for n in (399, 400, 16_000)] == [0, 1, 49]
    assert backbones.frame_count(config, torch.tensor([399, 16_000])).tolist() == [0, 49]


def test_nothing_of_a_missing_stretch_is_seen(build):
    """The loss's prediction does not change when the missing samples do."""
    module = build("masked-waveform").eval()
    batch = batch_of(module, [sounds.voice(0, 0.5)], training=False)
    missing = module.missing_samples(batch["hidden"], batch["kept"], batch["input_values"].shape[1])
    assert 0 < missing.float().mean() < 0.8
    changed = torch.where(missing, torch.randn_like(batch["input_values"]), batch["input_values"])

    def guess(values):
        hidden = {"input_values": values.masked_fill(missing, 0.0), "attention_mask": batch["attention_mask"]}
        return module.head(backbones.frames(module.backbone, hidden, mask=batch["hidden"])[0])

    assert torch.equal(guess(changed), guess(batch["input_values"]))
    stride, first = module.stride, (module.seen - module.stride) // 2
    spoken_for = batch["hidden"].repeat_interleave(stride, dim=1)[0]
    assert missing[0, first : first + len(spoken_for)][spoken_for].all()


def test_a_perfect_prediction_has_no_loss(build, monkeypatch):
    module = build("masked-waveform").eval()
    batch = batch_of(module, [sounds.voice(0, 0.5), sounds.voice(1, 0.3)], training=False)
    first = (module.seen - module.stride) // 2
    truth = batch["input_values"][:, first : first + batch["hidden"].shape[1] * module.stride]
    monkeypatch.setattr(module.head, "forward", lambda states: truth.view(*batch["hidden"].shape, module.stride))
    assert float(module(**batch).loss) == pytest.approx(0.0, abs=1e-6)


def test_units_are_the_same_after_a_resume_and_come_from_the_chosen_layer(build):
    values = [sounds.voice(seed, 0.5) for seed in range(8)]
    first, again = build("hubert-units", layer=1), build("hubert-units", layer=1)
    for module in (first, again):
        module.rows(dataset(values), seed=0, training=True)
    assert torch.equal(first.centers, again.centers) and torch.isfinite(first.centers).all()
    again.load_state_dict(first.state_dict())
    logmel = build("hubert-units", layer=-1)
    rows = logmel.rows(dataset(values), seed=0, training=True)
    assert logmel.centers.shape[1] == 80
    frames = backbones.frame_count(logmel.backbone.config, 8_000)
    assert all(len(units) == frames and 0 <= units.min() and units.max() < 6 for units in rows.units)
    with pytest.raises(ConfigError, match="layer lies between -1 and 2"):
        build("hubert-units", layer=7)


@pytest.mark.parametrize("arch", ["whisper", "audio-spectrogram-transformer"])
def test_spectrogram_encoders_learn_hidden_stretches(arch, tmp_path):
    if arch == "whisper":
        folder = tiny.write_checkpoint("whisper", tmp_path)
    else:
        fields = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
        config = transformers.ASTConfig(num_mel_bins=32, max_length=102, **fields)
        torch.manual_seed(0)
        transformers.ASTModel(config).save_pretrained(tmp_path)
        transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=102).save_pretrained(tmp_path)
        folder = tmp_path
    cls = plugins.find("objectives", "masked-spectrogram")
    encoder = AUDIO.load(str(folder))
    torch.manual_seed(0)
    module = cls(encoder, cls.Config(mask_span=3)).train()
    batch = batch_of(module, [sounds.voice(seed, 0.3 + 0.2 * seed) for seed in range(4)])
    optimizer = torch.optim.AdamW([p for p in module.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for _ in range(25):
        loss = module(**batch).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    assert module.fill.grad.abs().sum() > 0
    exported = module.export()
    exported.save_pretrained(tmp_path / "out")
    again, report = load_model(str(tmp_path / "out"))
    assert report.matched == report.compared and type(again) is type(load_model(str(folder))[0])


def test_a_hidden_patch_is_covered_wholly():
    config = transformers.ASTConfig(num_mel_bins=36, max_length=56)
    high, wide = backbones.patch_grid(config)
    hidden = torch.zeros(1, high * wide, dtype=torch.bool)
    hidden[0, 1 * wide + 2] = True
    covered = covered_by_patches(hidden, config)[0]
    assert covered.sum() == 256 and covered[20:36, 10:26].all()


@pytest.mark.parametrize("norm", ["layer", "group"])
@pytest.mark.parametrize("arch", ["wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech"])
def test_a_clips_vector_does_not_depend_on_its_neighbours(arch, norm):
    values = [sounds.voice(0, 0.2), sounds.voice(1, 1.0), sounds.voice(2, 0.2), sounds.voice(3, 0.7)]
    own = tiny.tiny_config("wav2vec2", feat_extract_norm=norm).to_dict()
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_dim", "conv_stride",
             "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "feat_extract_norm")  # fmt: skip
    config = transformers.AutoConfig.for_model(arch, **{name: own[name] for name in names})
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(config).eval()
    plain = AudioEncoder(AUDIO, model, tiny.tiny_processor("wav2vec2"), "mean")
    harmless = norm == "layer" and arch != "data2vec-audio"
    assert backbones.padding_is_harmless(model.config) == harmless
    for pooling in ("mean", "mean-std", "max", "layers"):
        encoder = plain.replace(pooling=pooling)
        alone = np.concatenate([encoder.embed([value]) for value in values])
        np.testing.assert_allclose(encoder.embed(values), alone, atol=2e-5)
    # In one padded batch it holds just where it is said to hold.
    padded = plain.features(plain.collate(plain.preprocess(values))).detach().numpy()
    alone = np.concatenate([plain.embed([value]) for value in values])
    assert np.allclose(padded, alone, atol=2e-5) == harmless


@pytest.mark.parametrize("arch", ["whisper", "wav2vec2"])
def test_vectors_of_all_layers_hold_that_of_the_last_one(arch, tiny_checkpoint):
    folder = str(tiny_checkpoint(arch))
    encoder = AUDIO.load(folder)
    values = [sounds.voice(0, 0.4), sounds.voice(1, 0.9)]
    last, layers = (encoder.replace(pooling=how).embed(values) for how in ("mean-std", "layers"))
    width = last.shape[1] // 2
    half = layers.shape[1] // 2
    assert half == 3 * width, "two layers, and what enters the first"
    np.testing.assert_allclose(layers[:, half - width : half], last[:, :width], atol=1e-6)
    np.testing.assert_allclose(layers[:, -width:], last[:, width:], atol=1e-6)
    assert not np.allclose(layers[:, :width], last[:, :width], atol=0.01)


def test_normalizing_comes_before_padding():
    short, long = sounds.voice(0, 0.2) + 0.3, sounds.voice(1, 1.0)
    encoder = AudioEncoder(AUDIO, tiny.tiny_model("wav2vec2"), tiny.tiny_processor("wav2vec2"))
    batch = encoder.collate(encoder.preprocess([short, long]))
    sound = batch["input_values"][0, : len(short)]
    assert abs(float(sound.mean())) < 1e-5 and float(sound.std(correction=0)) == pytest.approx(1, abs=1e-4)
    assert not batch["input_values"][0, len(short) :].any()
    theirs = tiny.tiny_processor("wav2vec2")([short, long], sampling_rate=16_000, padding=True, return_tensors="pt")
    torch.testing.assert_close(batch["input_values"], theirs["input_values"].float(), atol=1e-5, rtol=1e-4)


def test_a_shorter_window_is_the_same_encoder_on_less(tmp_path):
    folder = tiny.write_checkpoint("whisper", tmp_path)  # 2 s
    short = Audio(Audio.Config(window=1.0))
    encoder = short.load(str(folder))
    assert encoder.model.embed_positions.num_embeddings == 50 and encoder.processor.n_samples == 16_000
    vectors = encoder.embed([sounds.voice(0, 0.5)])
    assert np.isfinite(vectors).all()
    encoder.save(tmp_path / "short")
    again = Audio().load(str(tmp_path / "short"))
    np.testing.assert_allclose(again.embed([sounds.voice(0, 0.5)]), vectors, atol=1e-6)
    for wrong in (5.0,):
        with pytest.raises(ConfigError, match="longer than this model's 2 s"):
            Audio(Audio.Config(window=wrong)).load(str(folder))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_half_precision_leaves_targets_and_losses_in_single(build, name):
    module = build(name).eval()
    batch = batch_of(module, [sounds.voice(seed, 0.4) for seed in range(4)], training=False)
    with torch.no_grad():
        wanted = module(**batch).loss
        with torch.autocast("cpu", torch.bfloat16):
            found = module(**batch).loss
            again = batch_of(module, [sounds.voice(seed, 0.4) for seed in range(4)], training=False)
    assert found.dtype == torch.float32 and float(found) == pytest.approx(float(wanted), rel=0.03)
    assert torch.equal(again["input_values"], batch["input_values"])


def other_family(arch: str, folder):
    """A tiny checkpoint of a relative of wav2vec2 with its pre-training head."""
    own = tiny.tiny_config("wav2vec2", feat_extract_norm="layer").to_dict()
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "conv_dim", "conv_stride",
             "conv_kernel", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "feat_extract_norm",
             "codevector_dim", "proj_codevector_dim", "num_codevectors_per_group")  # fmt: skip
    config = transformers.AutoConfig.for_model(arch, **{name: own[name] for name in names}, layerdrop=0.0)
    torch.manual_seed(0)
    transformers.AutoModelForPreTraining.from_config(config).save_pretrained(folder)
    tiny.tiny_processor("wav2vec2").save_pretrained(folder)
    return str(folder)


def test_conformers_train_and_keep_the_statistics_of_their_batch_norms(tmp_path):
    folder = other_family("wav2vec2-conformer", tmp_path)
    cls = plugins.find("objectives", "wav2vec2")
    encoder = AUDIO.load(folder, cls.auto_class)
    norms = [module for module in encoder.model.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    for norm in norms:
        norm.running_mean.fill_(0.5)  # as a trained checkpoint's, which are not 0
    before = [module.running_mean.clone() for module in norms]
    module = cls(encoder, cls.Config(negatives=10)).train()
    loss = module(**batch_of(module, [sounds.voice(seed, 0.3 + 0.2 * seed) for seed in range(4)])).loss
    loss.backward()
    assert torch.isfinite(loss) and norms
    assert all(torch.equal(norm.running_mean, old) for norm, old in zip(norms, before, strict=True))


def test_a_head_of_another_shape_is_refused(tmp_path):
    cls = plugins.find("objectives", "wav2vec2")
    folder = other_family("unispeech", tmp_path)
    with pytest.raises(ConfigError, match="UniSpeechForPreTraining has no quantizer"):
        cls(AUDIO.load(folder, cls.auto_class), cls.Config())
