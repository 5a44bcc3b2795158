"""The whole studio in a real browser: a real network of 128 pixels, the real engine, library and gallery; nothing is faked."""

import pytest

torch = pytest.importorskip("torch")

from people import Studio, drag_well  # noqa: E402

from studio import checkpoints  # noqa: E402
from studio.checkpoints import ModelCard  # noqa: E402
from studio.media import read_image  # noqa: E402
from studio.models.common import build  # noqa: E402
from studio.ui import app  # noqa: E402
from studio.ui.settings import Settings  # noqa: E402

SIDE = 128
KINDS = ("apple", "cherry", "lemon")


def random_network(folder):
    """Install a small StyleGAN2 of 128 pixels with random weights and three classes."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        sizes = {"z_dim": 64, "c_dim": 3, "w_dim": 64, "img_resolution": SIDE, "img_channels": 3, "num_layers": 2}
        network = build("stylegan2", {**sizes, "channels": [64, 64, 64, 32, 16, 8]}).eval()
        network.mapping.w_avg.copy_(network.mapping(torch.randn(64, 64), torch.eye(3)[torch.arange(64) % 3])[:, 0].mean(0))
    folder.mkdir(parents=True)
    card = ModelCard(name="random", family="stylegan2", resolution=SIDE, classes=KINDS)
    checkpoints.save(network, folder / "random.safetensors", card)


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    random_network(folder / "models")
    places = {name: folder / name for name in ("models", "pretrained", "uploads", "pictures")}
    ctx = app.make_context(Settings(**places))
    ctx.engine.prepare("random", timeout=300)  # a faster way that is found later draws pixels that differ by a level
    running = Studio(ctx)
    yield running
    running.close()
    ctx.engine.close()


def test_dragging_a_real_network_of_128_pixels_shows_twenty_frames_a_second(person, studio):
    drag_well(person, lambda: studio.ctx.engine.status().milliseconds)


def test_a_saved_picture_brings_every_control_back_and_renders_to_the_same_pixels(person, studio):
    page = person.random().page
    page.evaluate(
        """() => { studio.recipe.change({ "latent.x": 7.25, "latent.y": 1.5, "truncation.psi": 0.45, "truncation.cutoff": 6,
            "noise.strength": 0.5, "latent.classes": [[0, 0.25], [2, 0.75]] }); studio.recipe.commit(); }"""
    )
    made = person.settled().recipe()
    page.keyboard.press("s")
    person.wait_say("Saved random-0001.png")
    file = studio.ctx.settings.pictures / "random-0001.png"
    shown = page.evaluate("document.querySelector('#studio-latent-board .studio-canvas').toDataURL()")
    person.random()
    person.drop(file)
    person.wait_say("Everything is as it was for random-0001.png.")
    assert person.settled().recipe() == made
    assert page.get_by_label("lemon").input_value() == "0.75"
    assert page.evaluate("document.querySelector('#studio-latent-board .studio-canvas').toDataURL()") == shown
    page.keyboard.press("s")
    person.wait_say("Saved random-0002.png")
    first, second = (read_image(studio.ctx.settings.pictures / f"random-000{n}.png") for n in (1, 2))
    assert (first.image == second.image).all()
    assert first.recipe == second.recipe


def test_undo_shows_the_previous_picture_to_the_pixel(person):
    pixels = "document.querySelector('#studio-latent-board .studio-canvas').toDataURL()"
    before = person.page.evaluate(pixels)
    person.random()
    assert person.page.evaluate(pixels) != before
    person.page.keyboard.press("z")
    person.page.wait_for_function(f"(before) => {pixels} === before", arg=before)
