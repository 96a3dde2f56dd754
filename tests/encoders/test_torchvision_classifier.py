"""Any torchvision classifier: stems, sizes, and weights old and new."""

from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision import models

from xlearn.data.task import ImageSpec
from xlearn.encoders.torchvision_classifier import TorchvisionClassifier, _hash_prefix
from xlearn.runtime.errors import Problem
from xlearn.runtime.storage import cache_root

GREY, COLOUR = ImageSpec(1, 28, 28), ImageSpec(3, 32, 32)
# Networks that cannot read 64 x 64 images (positions or windows of a fixed number, or pooling down to nothing).
TRANSFORMERS = ("maxvit_t", "vit_b_16", "vit_b_32", "vit_l_16", "vit_l_32", "vit_h_14")
NEEDS = {"inception_v3": 96, **dict.fromkeys(TRANSFORMERS, 224)}
LARGEST = 100e6  # parameters; above it building takes too long


def images(spec: ImageSpec, count: int = 4, seed: int = 0) -> torch.Tensor:
    shape = (count, spec.channels, spec.height, spec.width)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def resnet18(spec: ImageSpec = GREY, **options) -> TorchvisionClassifier:
    return TorchvisionClassifier(spec, name="resnet18", **{"stem": "small", **options})


def last_map(encoder: TorchvisionClassifier, given: torch.Tensor) -> torch.Size:
    shapes = []
    encoder.body.layer4.register_forward_hook(lambda module, inputs, output: shapes.append(output.shape))
    encoder(given)
    return shapes[0][2:]


def test_the_small_stem_keeps_the_resolution():
    assert last_map(resnet18(stem="small").eval(), images(GREY)) == (4, 4)  # 28 / 8, rounded up
    assert last_map(resnet18(stem="imagenet").eval(), images(GREY)) == (1, 1)  # 28 / 32
    assert last_map(resnet18(stem="imagenet", size=64).eval(), images(GREY)) == (2, 2)


@pytest.mark.parametrize("name", ["googlenet", "densenet121", "shufflenet_v2_x0_5", "squeezenet1_1"])
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
        TorchvisionClassifier(ImageSpec(1, side, side), name=name, stem="imagenet")


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
    encoder = TorchvisionClassifier(GREY, name=name, stem="imagenet", weights=file, size=FAMILIES[name])
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
    encoder = TorchvisionClassifier(COLOUR, name="densenet121", stem="imagenet", weights=saved(tmp_path, state))
    assert same_body(encoder, whole)


@pytest.mark.slow
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
    encoder = TorchvisionClassifier(COLOUR, name="vit_b_32", stem="imagenet", weights=saved(tmp_path, state), size=224)
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
    pixels = resnet18().pixels
    spread = 1 / (255 * pixels.scale)
    assert (-pixels.shift * spread).flatten().tolist() == pytest.approx([0.485, 0.456, 0.406])
    assert spread.flatten().tolist() == pytest.approx([0.229, 0.224, 0.225])
    # torchvision converts the ImageNet normalisation for the two networks that come from TensorFlow.
    file = saved(tmp_path, models.googlenet(weights=None, init_weights=False).state_dict())
    taught = TorchvisionClassifier(COLOUR, name="googlenet", stem="imagenet", size=64, weights=file).eval()
    # Carried into a network that was built without weights, as a run does, they compute the same.
    carried = TorchvisionClassifier(COLOUR, name="googlenet", stem="imagenet", size=64).eval()
    carried.load_state_dict(taught.state_dict())
    assert carried.body.transform_input and torch.equal(carried(images(COLOUR)).values, taught(images(COLOUR)).values)
    with pytest.raises(Problem, match="weights=IMAGENET1K_FEATURES: these weights of vgg16 need another normalisation"):
        TorchvisionClassifier(COLOUR, name="vgg16", weights="IMAGENET1K_FEATURES")


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
            TorchvisionClassifier(ImageSpec(3, 64, 64), name=name, stem="imagenet")
    encoder = TorchvisionClassifier(ImageSpec(1, 64, 64), name=name, stem="imagenet", size=side).eval()
    with torch.no_grad():
        values = encoder(images(ImageSpec(1, 64, 64), 2)).values
    assert values.shape == (2, 1, encoder.width) and bool(values.isfinite().all())
    assert not torch.equal(values[0], values[1])
    # Nothing but the last layer was taken away.
    plain = {"aux_logits": False, "init_weights": False} if name in ("googlenet", "inception_v3") else {}
    whole = models.get_model(name, weights=None, **plain)
    gone = whole.state_dict().keys() - encoder.body.state_dict().keys()
    assert len({key.rpartition(".")[0] for key in gone}) == 1
