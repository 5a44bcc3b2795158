"""What is measured of samples: worse pictures measure worse, copies are counted, and only Inception's figures are called FID and KID."""

from collections.abc import Iterator

import numpy as np
import torch

from studio.training import metrics
from studio.training.board import QUALITY, Board, _group
from studio.training.gradients import GradientNorms
from studio.training.measures import Measures, opaque
from studio.training.settings import Tick


def pictures(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:16, 0:16] / 16
    waves = np.stack([np.sin(2 * np.pi * (a * x + b * y)) for a, b in ((1, 0), (0, 1), (1, 1), (2, 1))])
    return (128 + 25 * np.tensordot(rng.normal(size=(n, 3, 4)), waves, 1)).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def test_pictures_of_the_same_kind_measure_better_than_blurred_ones_and_none_are_called_fid() -> None:
    measures = Measures(pictures(64, 1))
    same = measures(pictures(64, 2))
    grey = measures((pictures(64, 2) // 4 + 96).astype(np.uint8))
    assert same["random_feature_kid"] < grey["random_feature_kid"]
    assert same["swd"] < grey["swd"] * 1.5
    assert same["diversity"] > 2 * grey["diversity"]
    assert same["score"] == same["random_feature_kid"]
    assert not {"fid", "kid", "copies"} & same.keys()


def test_copies_are_counted_among_the_training_pictures() -> None:
    training = pictures(100, 1)

    def parts() -> Iterator[np.ndarray]:
        yield from np.split(training, 4)

    measures = Measures(training[:40], training=parts, mirror=True)
    samples = np.concatenate([training[50:60], pictures(30, 9)])
    assert 0.25 <= measures(samples)["copies"] <= 0.3


def test_transparency_is_measured_on_white() -> None:
    image = np.array([[[[200, 100, 0, 255], [200, 100, 0, 0], [0, 0, 0, 128]]]], np.uint8)
    assert opaque(image)[0, 0].tolist() == [[200, 100, 0], [255, 255, 255], [127, 127, 127]]
    assert opaque(image[..., :3]) is not None


def test_the_frechet_distance_of_gaussians_is_the_known_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 3, generator=generator, dtype=torch.float64)
    scaled = x * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([0.0, 1.0, 0.0])
    assert abs(metrics.frechet(x, scaled) - (1 + 0 + 1 + 4)) < 0.15  # means differ by 1, deviations by 0, 1 and 2
    assert abs(metrics.frechet(x, x)) < 1e-9
    few = torch.randn(5, 40, generator=generator, dtype=torch.float64)
    assert np.isfinite(metrics.frechet(few, few + 1))


def test_kid_is_unbiased_so_two_halves_of_one_set_lie_around_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    distances = []
    for _ in range(40):
        x = torch.randn(60, 8, generator=generator, dtype=torch.float64)
        distances.append(metrics.plain_kid(x[:30], x[30:]))
    assert abs(np.mean(distances)) < 2.5 * np.std(distances) / 40**0.5
    assert min(distances) < 0 < max(distances)


def test_gradients_are_measured_at_each_step_and_a_step_stays_as_it_is() -> None:
    layers = [torch.nn.Linear(3, 1, bias=False), torch.nn.Linear(3, 1, bias=False)]
    layers[1].load_state_dict(layers[0].state_dict())
    optimizers = [torch.optim.SGD(layer.parameters(), lr=0.1) for layer in layers]
    norms = GradientNorms({"g": optimizers[0], "d": torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)})
    for scale in (1.0, 3.0):
        for layer, optimizer in zip(layers, optimizers, strict=True):
            optimizer.zero_grad()
            (scale * layer(torch.tensor([[3.0, 4.0, 0.0]]))).sum().backward()
            optimizer.step()
    assert norms.take() == {"g_grad": 10.0}  # lengths 5 and 15
    assert norms.take() == {}
    assert torch.equal(layers[0].weight, layers[1].weight)


def test_tensorboard_files_hold_every_value_of_a_tick_under_its_heading(tmp_path) -> None:
    import pytest

    pytest.importorskip("tensorboardX", reason="needs tensorboardX, which is absent")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    assert RecordWriter is not None
    board = Board(tmp_path, is_on=True)
    board.tell(Tick("step", 5, 160, 1.0, 0.1, 32.0, {"g_loss": 2.5, "real_sign": 0.25}))
    board.tell(Tick("state", 6, 192, 1.2, 0.1, 32.0, {"fid": 30.0}))
    board.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    data, at, found = file.read_bytes(), 0, {}
    while at < len(data):  # length, its check sum, the event, its check sum
        size = int.from_bytes(data[at : at + 8], "little")
        event = Event.FromString(data[at + 12 : at + 12 + size])
        found |= {value.tag: (event.step, value.simple_value) for value in event.summary.value}
        at += 16 + size
    assert found["training/g_loss"] == (5, 2.5)
    assert found["signs/real_sign"] == (5, 0.25)
    assert found["quality/fid"] == (6, 30.0)
    assert found["speed/images_per_second"] == (5, 32.0)


def test_a_board_that_is_off_writes_nothing(tmp_path) -> None:
    board = Board(tmp_path, is_on=False)
    board.tell(Tick("step", 5, 160, 1.0, 0.1, 32.0, {"g_loss": 2.5}))
    board.close()
    assert list(tmp_path.iterdir()) == []
    assert _group("g_grad") == "gradients"
    assert {_group(name) for name in QUALITY} == {"quality"}
