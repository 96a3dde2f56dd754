"""Laws of every fusion in `conf/fusion`: what is missing or masked has no influence, order has none, all of it trains."""

import pytest
import torch

from xlearn.config.component import component
from xlearn.config.folders import conf_folder, options, read_yaml
from xlearn.networks.network import Tokens

FILES = options("fusion", [conf_folder()])
NEEDS = {"mean": {"width": 64}}
WIDTHS = {"audio": 3, "image": 5, "text": 4}
SUBSETS = [["image"], ["image", "text"], ["audio", "image", "text"]]
BATCH = 4
every_fusion = pytest.mark.parametrize("name", FILES)
every_number = pytest.mark.parametrize("names", SUBSETS, ids=len)


def build(name, modalities=tuple(WIDTHS), shaken=True, **changes):
    """The fusion with its defaults. `shaken`: no parameter at a special value such as zero."""
    node = {**read_yaml(FILES[name]), **NEEDS.get(name, {}), **changes}
    torch.manual_seed(0)
    fusion = component(node, "fusion", positional=1)({modality: WIDTHS[modality] for modality in modalities})
    with torch.no_grad():
        for _, parameter in sorted(fusion.named_parameters()):
            parameter.add_(0.1 * torch.randn_like(parameter) if shaken else 0)
    return fusion.eval()


def tokens(modalities=tuple(WIDTHS), batch=BATCH, seed=1, masked=True, scale=1.0):
    """Random tokens, 2 to 4 per modality, the first one always valid."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for length, name in enumerate(sorted(modalities), start=2):
        values = scale * torch.randn(batch, length, WIDTHS[name], generator=generator)
        mask = torch.rand(batch, length, generator=generator) < 0.6
        mask[:, 0] = True
        found[name] = Tokens(values, mask if masked else None)
    return found


def without(given, name, examples=slice(None), fill=None):
    """`given`, with modality `name` missing for `examples`; `fill` stands where the mask is False."""
    values, mask = given[name]
    mask = mask.clone()
    mask[examples] = False
    return {**given, name: Tokens(values if fill is None else values.masked_fill(~mask.unsqueeze(-1), fill), mask)}


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def weighted(output):
    """A scalar whose gradient is different for every entry."""
    return (output * torch.randn(output.shape, generator=torch.Generator().manual_seed(3))).sum()


def test_every_fusion_is_found():
    assert sorted(FILES) == [
        "attention", "bilinear", "bottleneck", "concat", "cross_attention", "film", "gated", "late", "low_rank", "mean",
        "mlp", "sum", "tensor", "tile",
    ]  # fmt: skip
    assert all(1 <= len(file.read_text(encoding="utf-8").splitlines()) <= 10 for file in FILES.values())


@every_fusion
@every_number
def test_any_number_of_modalities_tokens_and_examples(name, names):
    fusion = build(name, names)
    for batch in (1, BATCH):
        for masked in (False, True):
            output = fusion(tokens(names, batch, masked=masked))
            assert output.shape == (batch, fusion.width) and output.dtype == torch.float32
            assert bool(torch.isfinite(output).all())
    vectors = {each: Tokens(torch.randn(BATCH, 1, WIDTHS[each])) for each in names}
    alike = {each: Tokens(vector.values, torch.ones(BATCH, 1, dtype=torch.bool)) for each, vector in vectors.items()}
    close(fusion(vectors), fusion(alike))
    double = {each: Tokens(vector.values.double()) for each, vector in vectors.items()}
    assert fusion.double()(double).dtype == torch.float64


@every_fusion
def test_examples_do_not_see_each_other(name):
    fusion, given = build(name), without(tokens(), "image", [1, 2])
    single = [fusion({key: Tokens(*(part[[row]] for part in each)) for key, each in given.items()}) for row in range(BATCH)]
    close(fusion(given), torch.cat(single))


@every_fusion
@every_number
@pytest.mark.parametrize("fill", [7.0, float("inf"), float("nan")])
def test_what_a_mask_hides_has_no_influence(name, names, fill):
    fusion, given = build(name, names), without(tokens(names), names[-1], [0, 2])
    changed = {}
    for key, (values, mask) in given.items():
        changed[key] = Tokens(values.masked_fill(~mask.unsqueeze(-1), fill).requires_grad_(), mask)
    output = fusion(changed)
    assert torch.equal(output, fusion(given))
    weighted(output).backward()
    for values, mask in changed.values():
        assert bool((values.grad[~mask] == 0).all()) and bool(torch.isfinite(values.grad).all())
    assert all(bool(torch.isfinite(each.grad).all()) for each in fusion.parameters())


@every_fusion
@every_number
def test_an_absent_modality_is_one_that_no_example_has(name, names):
    fusion, given = build(name, names), tokens(names)
    for missing in names if len(names) > 1 else []:
        present = {key: each for key, each in given.items() if key != missing}
        assert torch.equal(fusion(present), fusion(without(given, missing, fill=float("nan"))))
        empty = {**given, missing: Tokens(torch.zeros(BATCH, 0, WIDTHS[missing]))}
        assert torch.equal(fusion(present), fusion(empty))


@every_fusion
@every_number
def test_examples_without_anything_are_finite_and_so_are_gradients(name, names):
    fusion, given = build(name, names), tokens(names)
    for each in names:
        given = without(given, each, [1])
        given[each].values.requires_grad_()
    output = fusion(given)
    weighted(output).backward()
    assert bool(torch.isfinite(output).all())
    assert all(bool(torch.isfinite(each.grad).all()) for each in fusion.parameters())
    for each in names:
        given = without(given, each)
    assert bool(torch.isfinite(fusion(given)).all())


@every_fusion
def test_the_order_of_modalities_does_not_matter(name):
    given, first = tokens(), build(name)
    for order in (["text", "image", "audio"], ["image", "audio", "text"]):
        other = build(name, order)
        assert first.state_dict().keys() == other.state_dict().keys() and first.width == other.width
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in first.state_dict().items())
        assert torch.equal(first(given), other({key: given[key] for key in order}))


@every_fusion
@every_number
def test_every_parameter_and_every_valid_token_gets_a_gradient(name, names):
    """Also from the untouched start, and also with one modality: nothing is registered that is never used."""
    for shaken in (True, False):
        fusion, given = build(name, names, shaken).train(), tokens(names)
        for values, _ in given.values():
            values.requires_grad_()
        weighted(fusion(given)).backward()
        for key, parameter in fusion.named_parameters():
            assert parameter.grad is not None and bool((parameter.grad != 0).any()), key
        if shaken:
            assert all(bool((values.grad[mask].abs().sum(1) > 0).all()) for values, mask in given.values())


@every_fusion
@every_number
@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e4])
def test_extreme_inputs_stay_finite(name, names, scale):
    fusion, given = build(name, names, shaken=False), tokens(names, scale=scale)
    for values, _ in given.values():
        values.requires_grad_()
    output = fusion(given)
    weighted(output).backward()
    assert bool(torch.isfinite(output).all())
    assert all(bool(torch.isfinite(each.grad).all()) for each in fusion.parameters())
    assert all(bool(torch.isfinite(values.grad).all()) for values, _ in given.values())


@every_fusion
def test_half_precision_stays_finite(name):
    with torch.autocast("cpu", torch.bfloat16):
        output = build(name)(without(tokens(), "text", [0]))
    assert output.is_floating_point() and bool(torch.isfinite(output).all())


@every_fusion
def test_dropout_is_on_in_training_only(name):
    fusion, given = build(name), tokens()
    assert torch.equal(fusion(given), fusion(given)) and not fusion.training
    close(fusion.train()(given), fusion.eval()(given))  # the default is no dropout
    with torch.no_grad():  # where libraries take other ways
        close(fusion(given), fusion.train()(given).detach())
    if "dropout" in read_yaml(FILES[name]):
        fusion = build(name, dropout=0.5)
        assert torch.equal(fusion(given), fusion(given))
        fusion.train()
        assert not torch.equal(fusion(given), fusion(given))


@every_fusion
def test_weights_survive_being_saved(name):
    fusion, other = build(name), build(name, shaken=False)
    other.load_state_dict(fusion.state_dict())
    assert torch.equal(fusion(tokens()), other(tokens()))
    assert len(list(fusion.buffers())) == 0


@every_fusion
def test_tokens_are_a_set_and_padding_is_nothing(name):
    """Encoders know positions, fusions do not."""
    fusion, given = build(name), without(tokens(), "text", [3])
    changed = {}
    for key, (values, mask) in given.items():
        order = torch.randperm(values.shape[1], generator=torch.Generator().manual_seed(4))
        padding = torch.full((BATCH, 3, WIDTHS[key]), 9.0)
        changed[key] = Tokens(
            torch.cat([values[:, order], padding], 1), torch.cat([mask[:, order], torch.zeros(BATCH, 3, dtype=torch.bool)], 1)
        )
    close(fusion(changed), fusion(given))
    with torch.no_grad():
        close(fusion(changed), fusion(given))
