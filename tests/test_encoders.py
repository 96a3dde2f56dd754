"""Encoders: shapes, blocks, counts and weights, against hand-written networks and the packages they come from."""

import math
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional
from torchvision import models

from xlearn.encoders.cnn import Cnn
from xlearn.encoders.efficientnet_lite0 import MEMBER, WEIGHTS, EfficientNetLite0
from xlearn.encoders.mlp import Mlp
from xlearn.encoders.pixels import Pixels
from xlearn.encoders.torchvision_classifier import TorchvisionClassifier, _hash_prefix
from xlearn.errors import Problem
from xlearn.network import blocks
from xlearn.storage import cache_root, read_tensors
from xlearn.task import ImageSpec

GREY, COLOUR = ImageSpec(1, 28, 28), ImageSpec(3, 32, 32)
SMALL = {"widths": [32, 64, 64], "dense": 64}
# Networks that cannot read 64 x 64 images (positions or windows of a fixed number, or pooling down to nothing).
NEEDS = {"inception_v3": 96, "maxvit_t": 224, **dict.fromkeys(("vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14"), 224)}
LARGEST = 100e6  # parameters; above it building takes too long


def images(spec: ImageSpec, count: int = 4, seed: int = 0) -> torch.Tensor:
    shape = (count, spec.channels, spec.height, spec.width)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def resnet18(spec: ImageSpec = GREY, **options) -> TorchvisionClassifier:
    return TorchvisionClassifier(spec, name="resnet18", **{"stem": "small", **options})


BUILT = {
    "cnn": (lambda spec: Cnn(spec, **SMALL), 64, 4),
    "mlp": (lambda spec: Mlp(spec, widths=[256, 128]), 128, 2),
    "resnet18": (resnet18, 512, 9),
    "efficientnet_lite0": (lambda spec: EfficientNetLite0(spec, size=32), 1280, 18),
}


@pytest.mark.parametrize("name", BUILT)
@pytest.mark.parametrize("spec", [GREY, COLOUR])
def test_an_encoder_gives_one_token_and_trains_in_every_parameter(name, spec):
    torch.manual_seed(0)
    build, width, count = BUILT[name]
    encoder = build(spec)
    tokens = encoder(images(spec))
    assert encoder.width == width and tokens.values.shape == (4, 1, width) and tokens.mask is None
    assert tokens.values.dtype == torch.float32
    found = blocks(encoder, "encoder.image.")
    assert len(found) == count
    # Every parameter belongs to exactly one block.
    for parameter, _ in encoder.named_parameters():
        assert sum(f"encoder.image.{parameter}".startswith(prefix) for block in found for prefix in block) == 1
    tokens.values.square().sum().backward()
    for parameter, value in encoder.named_parameters():
        assert value.grad is not None and bool(value.grad.abs().sum() > 0), parameter


@pytest.mark.parametrize("name", BUILT)
def test_every_block_is_on_the_way(name):
    """Blocks stand from input to output: a change of block k leaves what the blocks before it give."""
    torch.manual_seed(0)
    build, _, count = BUILT[name]
    encoder = build(GREY).eval()
    modules = dict(encoder.named_modules())
    order = []
    for position, block in enumerate(blocks(encoder, "")):
        first = modules[block[0].rstrip(".")]
        first.register_forward_hook(lambda *_, position=position: order.append(position))
    encoder(images(GREY, 2))
    assert order == list(range(count))


def test_numbers_of_parameters():
    assert parameters(Mlp(GREY, widths=[256, 128])) == 784 * 256 + 256 + 256 * 128 + 128
    convolutions = (9 * 1 * 32 + 32) + (9 * 32 * 64 + 64) + (9 * 64 * 64 + 64)
    assert parameters(Cnn(GREY, **SMALL)) == convolutions + 64 * 7 * 7 * 64 + 64
    assert parameters(Cnn(ImageSpec(1, 8, 8), **SMALL)) == convolutions + 64 * 2 * 2 * 64 + 64
    # Published: 11,689,512 of ResNet-18 less its 512 x 1000 + 1000; 4,652,008 of Lite0 less 1280 x 1000 + 1000.
    assert parameters(resnet18()) == 11_689_512 - 513_000
    assert parameters(EfficientNetLite0(COLOUR)) == 4_652_008 - 1_281_000


def test_the_cnn_is_the_usual_one_with_the_pooling_after_the_relu():
    torch.manual_seed(0)
    encoder = Cnn(GREY, **SMALL)
    given = images(GREY)
    first, second, third, dense = (block[-2] if number == 3 else block[0] for number, block in enumerate(encoder.blocks))
    x = given.float() / 127.5 - 1
    x = functional.max_pool2d(torch.relu(functional.conv2d(x, first.weight, first.bias, padding=1)), 2)
    x = functional.max_pool2d(torch.relu(functional.conv2d(x, second.weight, second.bias, padding=1)), 2)
    x = torch.relu(functional.conv2d(x, third.weight, third.bias, padding=1))
    x = torch.relu(x.flatten(1) @ dense.weight.t() + dense.bias)
    assert torch.allclose(encoder(given).values[:, 0], x, atol=1e-5)


def test_the_mlp_is_two_products():
    torch.manual_seed(0)
    encoder, given = Mlp(COLOUR, widths=[20, 10]), images(COLOUR)
    x = given.float().flatten(1) / 127.5 - 1
    for block in encoder.blocks:
        x = torch.relu(x @ block[0].weight.t() + block[0].bias)
    assert torch.allclose(encoder(given).values[:, 0], x, atol=1e-5)


@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_tiny_images_are_pooled_no_further_than_to_a_point(side):
    assert Cnn(ImageSpec(1, side, side), **SMALL)(images(ImageSpec(1, side, side))).values.shape == (4, 1, 64)


def test_dropout_is_on_in_training_only():
    torch.manual_seed(0)
    for encoder in (Cnn(GREY, **SMALL, dropout=0.5), Mlp(GREY, widths=[50], dropout=0.5)):
        given = images(GREY)
        assert not torch.equal(encoder(given).values, encoder(given).values)
        encoder.eval()
        assert torch.equal(encoder(given).values, encoder(given).values)


@pytest.mark.parametrize(
    "build",
    [
        lambda: Mlp(GREY, widths=[]), lambda: Mlp(GREY, widths=[10, 0]), lambda: Cnn(GREY, widths=[8], dense=0),
        lambda: Mlp(GREY, widths=[10], dropout=1.5), lambda: Cnn(GREY, **SMALL, dropout=-0.1),
    ],
)  # fmt: skip
def test_layers_without_a_size_are_told(build):
    with pytest.raises(Problem, match=r"encoder\.image"):
        build()


# --- pixels ---


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_pixels_are_normalised_by_the_formula(dtype):
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    given = images(COLOUR).to(dtype)
    found = Pixels(mean, std)(given)
    for channel in range(3):
        expected = (given[:, channel].double() / 255 - mean[channel]) / std[channel]
        assert torch.allclose(found[:, channel].double(), expected, atol=1e-5)
    assert found.dtype == torch.float32
    assert torch.allclose(Pixels()(given), given.float() / 127.5 - 1, atol=1e-6)


def test_grey_is_repeated_before_each_channel_is_normalised():
    given = images(GREY)
    found = Pixels([0.1, 0.2, 0.3], [1.0, 2.0, 4.0], channels=3)(given)
    assert found.shape == (4, 3, 28, 28)
    for channel, (mean, std) in enumerate(((0.1, 1.0), (0.2, 2.0), (0.3, 4.0))):
        assert torch.allclose(found[:, channel], (given[:, 0] / 255 - mean) / std, atol=1e-5)


@pytest.mark.parametrize("spec", [ImageSpec(3, 32, 32), ImageSpec(3, 20, 16), ImageSpec(1, 16, 20)])
def test_both_sides_are_resized(spec):
    given = images(spec)
    found = Pixels(0.0, 1 / 255, size=16)(given)
    expected = functional.interpolate(given.float(), (16, 16), mode="bilinear", antialias=True)
    assert found.shape[2:] == (16, 16) and torch.allclose(found, expected, atol=1e-3)


def test_pixels_own_nothing_that_is_saved():
    assert not Pixels().state_dict() and not list(Pixels().parameters())


# --- torchvision ---


def last_map(encoder: TorchvisionClassifier, given: torch.Tensor) -> torch.Size:
    shapes = []
    encoder.body.layer4.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    encoder(given)
    return shapes[0][2:]


def test_the_small_stem_keeps_the_resolution():
    assert last_map(resnet18(stem="small").eval(), images(GREY)) == (4, 4)  # 28 / 8, rounded up
    assert last_map(resnet18(stem="imagenet").eval(), images(GREY)) == (1, 1)  # 28 / 32
    assert last_map(resnet18(stem="imagenet", size=64).eval(), images(GREY)) == (2, 2)


@pytest.mark.parametrize("name", ["googlenet", "alexnet", "densenet121", "shufflenet_v2_x0_5", "squeezenet1_1"])
def test_the_small_stem_drops_the_first_pooling_whatever_it_is_called(name):
    sizes = {}
    for stem in ("imagenet", "small"):
        encoder = TorchvisionClassifier(GREY, name=name, stem=stem, size=64).eval()
        kinds = (nn.Conv2d, nn.MaxPool2d)
        first, second, *_ = [module for module in encoder.body.modules() if isinstance(module, kinds)]
        sizes[stem] = []
        first.register_forward_hook(lambda module, inputs, output, stem=stem: sizes[stem].append(output.shape[-1]))
        second.register_forward_hook(lambda module, inputs, output, stem=stem: sizes[stem].append(inputs[0].shape[-1]))
        encoder(images(GREY, 1))
        assert isinstance(second, nn.MaxPool2d) == (stem == "imagenet")
    assert sizes["small"][0] > sizes["imagenet"][0]


def test_the_body_gives_what_the_classifier_reads():
    torch.manual_seed(0)
    encoder = resnet18(COLOUR, stem="imagenet").eval()
    whole = models.resnet18(weights=None).eval()
    whole.load_state_dict({**whole.state_dict(), **encoder.body.state_dict()})
    seen = []
    whole.fc.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    given = images(COLOUR)
    mean, std = (torch.tensor(values)[:, None, None] for values in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    whole((given.float() / 255 - mean) / std)
    assert torch.allclose(encoder(given).values[:, 0], seen[0], atol=1e-4)


def test_wrong_names_are_told():
    with pytest.raises(Problem, match="no classifier 'resnet81'.*'resnet18'"):
        TorchvisionClassifier(GREY, name="resnet81")
    with pytest.raises(Problem, match="weights=IMAGENET1K_V7: resnet18 has no such weights.*'IMAGENET1K_V1'"):
        resnet18(weights="IMAGENET1K_V7")
    with pytest.raises(Problem, match="there is no such file"):
        resnet18(weights="/nowhere/w.pth")


@pytest.mark.parametrize(("name", "side"), [("vit_b_32", 28), ("alexnet", 28), ("inception_v3", 64)])
def test_images_that_do_not_suit_are_told_at_once(name, side):
    with pytest.raises(Problem, match=f"name={name} cannot read {side} x {side} images.*encoder.image.size"):
        TorchvisionClassifier(ImageSpec(1, side, side), name=name)


def saved(folder, state, ending=".pth"):
    file = folder / f"weights{ending}"
    if ending == ".safetensors":
        save_file({name: value.contiguous() for name, value in state.items()}, file)
    else:
        torch.save(state, file)
    return str(file)


def same_body(encoder, whole):
    expected = whole.state_dict()
    own = encoder.body.state_dict()
    return bool(own) and all(torch.equal(value, expected[name]) for name, value in own.items())


# One of every family whose weights torchvision treats in a way of their own.
FAMILIES = {"resnet18": 28, "mnasnet0_5": 32, "densenet121": 32, "googlenet": 64, "squeezenet1_1": 64, "mobilenet_v3_small": 32}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_of_weights_that_fits(tmp_path, name, ending):
    torch.manual_seed(1)
    # As published: googlenet has its auxiliary heads.
    whole = models.get_model(name, weights=None, **({"init_weights": False} if name == "googlenet" else {}))
    file = saved(tmp_path, whole.state_dict(), ending)
    encoder = TorchvisionClassifier(GREY, name=name, weights=file, size=FAMILIES[name])
    assert same_body(encoder, whole) and encoder.training


def test_a_file_with_another_number_of_classes_fits(tmp_path):
    whole = models.resnet18(weights=None, num_classes=7)
    assert same_body(resnet18(weights=saved(tmp_path, whole.state_dict())), whole)


def test_old_files_fit(tmp_path):
    """Before 2018 there were no counters of batches, and DenseNet's layers were called `norm.1`."""
    whole = models.densenet121(weights=None)
    state = {}
    for name, value in whole.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            parts = name.split(".")
            if any(part.startswith("denselayer") for part in parts):
                position = next(number for number, part in enumerate(parts) if part.startswith("denselayer")) + 1
                parts[position] = f"{parts[position][:-1]}.{parts[position][-1]}"
            state[".".join(parts)] = value
    assert "features.denseblock1.denselayer1.norm.1.weight" in state
    encoder = TorchvisionClassifier(COLOUR, name="densenet121", weights=saved(tmp_path, state))
    assert same_body(encoder, whole)


def test_old_files_of_vision_transformers_fit(tmp_path):
    """Their published weights call the two layers of a block `linear_1` and `linear_2`, and have no version."""
    torch.manual_seed(0)
    whole = models.vit_b_32(weights=None)
    renamed = {"mlp.0": "mlp.linear_1", "mlp.3": "mlp.linear_2"}
    state = {}
    for name, value in whole.state_dict().items():
        for new, old in renamed.items():
            name = name.replace(new, old)
        state[name] = value
    assert "encoder.layers.encoder_layer_0.mlp.linear_1.weight" in state
    encoder = TorchvisionClassifier(COLOUR, name="vit_b_32", weights=saved(tmp_path, state), size=224)
    assert same_body(encoder, whole)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), ["missing: layer1.0.conv1.weight"]),
        (lambda state: state.update({"layer9.weight": torch.ones(1)}), ["too much: layer9.weight"]),
        (lambda state: state.update({"conv1.weight": torch.ones(64, 1, 7, 7)}), ["other shape: conv1.weight"]),
    ],
)
def test_a_file_of_weights_that_does_not_fit(tmp_path, change, words, ending):
    state = models.resnet18(weights=None).state_dict()
    change(state)
    with pytest.raises(Problem, match="does not fit resnet18") as told:
        resnet18(weights=saved(tmp_path, state, ending))
    for word in words:
        assert word in str(told.value)


def test_weights_of_another_network_do_not_fit(tmp_path):
    file = saved(tmp_path, models.mobilenet_v3_small(weights=None).state_dict())
    with pytest.raises(Problem, match="does not fit resnet18: missing: .*; too much: "):
        resnet18(weights=file)


def away(*arguments, **options):
    raise URLError("no route to host")


def test_without_network_the_file_and_its_place_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XLEARN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("XLEARN_DATA", raising=False)
    monkeypatch.setattr(torch.hub, "download_url_to_file", away)
    with pytest.raises(Problem) as told:
        resnet18(weights="DEFAULT")
    place = cache_root() / "downloads" / "torchvision" / "resnet18-f37072fd.pth"
    for word in ("no route to host", "https://download.pytorch.org/models/resnet18-f37072fd.pth", str(place)):
        assert word in str(told.value)


def test_published_weights_are_found_where_the_message_says(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.hub, "download_url_to_file", away)
    whole = models.resnet18(weights=None)
    for variable, folder in (("XLEARN_CACHE", tmp_path / "downloads"), ("XLEARN_DATA", tmp_path / "mine")):
        monkeypatch.setenv(variable, str(tmp_path if variable == "XLEARN_CACHE" else folder))
        (folder / "torchvision").mkdir(parents=True)
        torch.save(whole.state_dict(), folder / "torchvision" / "resnet18-f37072fd.pth")
        for weights in ("DEFAULT", "IMAGENET1K_V1"):
            assert same_body(resnet18(weights=weights), whole)
        (folder / "torchvision" / "resnet18-f37072fd.pth").unlink()


def test_inputs_are_normalised_as_the_weights_were_trained(tmp_path):
    def normalisation(name, **options):
        pixels = TorchvisionClassifier(COLOUR, name=name, size=64, **options).pixels
        return (-pixels.shift * pixels.scale.reciprocal() / 255).flatten().tolist(), (1 / (255 * pixels.scale)).flatten().tolist()

    mean, std = normalisation("resnet18")
    assert mean == pytest.approx([0.485, 0.456, 0.406]) and std == pytest.approx([0.229, 0.224, 0.225])
    # torchvision converts the ImageNet normalisation for the two networks that come from TensorFlow.
    torch.manual_seed(0)
    whole = models.googlenet(weights=None, init_weights=False)
    file = saved(tmp_path, whole.state_dict())
    assert TorchvisionClassifier(COLOUR, name="googlenet", size=64, weights=file).body.transform_input
    assert not TorchvisionClassifier(COLOUR, name="googlenet", size=64).body.transform_input


def test_every_published_file_can_be_checked():
    for name in models.list_models(module=models):
        for weights in models.get_model_weights(name):
            prefix = _hash_prefix(weights.url.rsplit("/", 1)[-1])
            assert len(prefix) >= 8 and int(prefix, 16) >= 0, weights.url


@pytest.mark.slow
@pytest.mark.parametrize("name", models.list_models(module=models))
def test_every_torchvision_classifier(name):
    published = models.get_model_weights(name).DEFAULT.meta["num_params"]
    if published > LARGEST:
        pytest.skip(f"{published / 1e6:.0f} million parameters")
    torch.manual_seed(0)
    side = NEEDS.get(name, 64)
    if name in NEEDS:
        with pytest.raises(Problem, match="Set encoder.image.size"):
            TorchvisionClassifier(ImageSpec(3, 64, 64), name=name)
    encoder = TorchvisionClassifier(ImageSpec(1, 64, 64), name=name, size=side).eval()
    with torch.no_grad():
        values = encoder(images(ImageSpec(1, 64, 64), 2)).values
    assert values.shape == (2, 1, encoder.width) and bool(values.isfinite().all())
    assert not torch.equal(values[0], values[1])
    # Nothing but the last layer was taken away.
    whole = models.get_model(name, weights=None, **({"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}))
    gone = whole.state_dict().keys() - encoder.body.state_dict().keys()
    assert len({key.rpartition(".")[0] for key in gone}) == 1
    assert len(blocks(encoder, "encoder.image.")) >= 2


# --- EfficientNet-Lite0 ---


@pytest.fixture
def published_form():
    """The network of the package that the published weights belong to."""
    package = pytest.importorskip("efficientnet_lite_pytorch")
    torch.manual_seed(0)
    whole = package.EfficientNet.from_name("efficientnet-lite0").eval()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            # As after training: otherwise a mistake in the statistics could not be seen.
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            module.weight.data.uniform_(0.7, 1.4)
            module.bias.data.normal_(0, 0.2)
    return whole


def compare(encoder: EfficientNetLite0, whole: nn.Module, side: int) -> None:
    given = images(ImageSpec(3, side, side), 2)
    with torch.no_grad():
        expected = whole.extract_features(given.float() / 127.5 - 1).mean((2, 3))
        found = encoder(given).values[:, 0]
    assert float(expected.std()) > 1e-2
    assert (found - expected).abs().max() < 1e-4 * max(1.0, float(expected.abs().max()))


def test_lite0_is_that_of_its_package(published_form):
    encoder = EfficientNetLite0(ImageSpec(3, 224, 224), size=None).eval()
    encoder.load_published(published_form.state_dict())
    compare(encoder, published_form, 224)


def test_lite0_refuses_other_weights(published_form):
    state = published_form.state_dict()
    state["_conv_stem.weight"] = torch.zeros(32, 1, 3, 3)
    with pytest.raises(ValueError, match="other shapes"):
        EfficientNetLite0(COLOUR).load_published(state)


@pytest.mark.parametrize("side", [32, 33, 47, 96])
def test_lite0_reads_every_size(side):
    sides = []
    encoder = EfficientNetLite0(COLOUR, size=side).eval()
    encoder.blocks[-1].register_forward_hook(lambda module, inputs, output: sides.append(output.shape[-1]))
    assert encoder(images(COLOUR, 2)).values.shape == (2, 1, 1280)
    assert sides == [math.ceil(side / 32)]  # `same` padding: five halvings, rounded up each time


@pytest.mark.slow
def test_lite0_with_its_published_weights(published_form):
    state = read_tensors(WEIGHTS.member(MEMBER))
    published_form.load_state_dict(state)
    encoder = EfficientNetLite0(ImageSpec(3, 224, 224), weights="imagenet", size=None).eval()
    compare(encoder, published_form.eval(), 224)
