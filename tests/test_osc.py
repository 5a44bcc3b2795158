"""OSC: what other programs send, over a real socket of this computer."""

import random
import socket
import time

import pytest

osc_client = pytest.importorskip("pythonosc.udp_client")
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder  # noqa: E402
from pythonosc.osc_message_builder import OscMessageBuilder  # noqa: E402

from studio.audio import FEATURES  # noqa: E402
from studio.errors import StudioError  # noqa: E402
from studio.osc import FEATURES as HEARD  # noqa: E402
from studio.osc import HELP, MOST_NAMES, STALE, VALUES, Inbox, Listener  # noqa: E402
from studio.recipe import Recipe  # noqa: E402
from studio.recipe_paths import bounds_at  # noqa: E402


def message(address, *values):
    builder = OscMessageBuilder(address)
    for value in values:
        builder.add_arg(value)
    return builder.build().dgram


def values_of(inbox, since=0):
    return {path: value for path, (_, value) in inbox.news(since).values.items()}


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_a_message_over_a_socket_sets_a_value():
    listener = Listener(0)
    try:
        with osc_client.SimpleUDPClient("127.0.0.1", listener.port) as client:
            while not values_of(listener.inbox):
                client.send_message("/studio/psi", 0.25)
                time.sleep(0.01)
        assert listener.host == "127.0.0.1"
        assert values_of(listener.inbox) == {"truncation.psi": 0.25}
        assert listener.inbox.news().last == "/studio/psi 0.25"
    finally:
        listener.close()


def test_noise_on_the_socket_ends_nothing():
    listener = Listener(0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not values_of(listener.inbox):
                for data in (b"", b"\x00", b"/studio/psi", b"#bundle\x00", bytes(range(256)), message("/studio/x", 4)):
                    sender.sendto(data, ("127.0.0.1", listener.port))
                time.sleep(0.01)
        assert values_of(listener.inbox) == {"latent.x": 4.0}
    finally:
        listener.close()


def test_a_closed_listener_gives_its_port_back_and_a_taken_one_is_a_sentence():
    first = Listener(0)
    with pytest.raises(StudioError, match="Choose another port"):
        Listener(first.port)
    first.close()
    Listener(first.port).close()


def test_damaged_packets_are_dropped():
    inbox, rng = Inbox(), random.Random(0)
    whole = message("/studio/psi", 0.5)
    nested = b"#bundle\x00" + bytes(8)
    for _ in range(3000):
        nested = nested[:16] + len(nested).to_bytes(4, "big") + nested if len(nested) < 60_000 else nested
    for _ in range(2000):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        inbox.take_packet(bytes(damaged[: rng.randint(0, len(damaged))]))
    inbox.take_packet(nested)
    assert inbox.take_packet(whole)
    assert values_of(inbox)["truncation.psi"] == 0.5


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_is_dropped(number):
    inbox = Inbox()
    assert not inbox.take_packet(message("/studio/psi", number))
    assert not inbox.take("/studio/psi", ["0.5"])
    assert not inbox.take("/studio/psi", [None, 1.0])
    assert not inbox.take("/studio/psi", [10**400])
    assert inbox.news().serial == 0


@pytest.mark.parametrize(
    "address", ["/other/psi", "psi", "/studio", "/studio/", "/studio/../x", "/studio/Psi", "/studio/nothing", "/studio/" + "a/" * 99]
)
def test_an_address_that_is_not_the_studios_is_dropped(address):
    inbox = Inbox()
    assert not inbox.take(address, [1.0])
    assert inbox.news().last == ""


def test_every_value_of_a_recipe_has_an_address():
    inbox = Inbox()
    assert inbox.take("/studio/latent/classes/3", [0.5])
    assert inbox.take("/studio/view/contrast", [2])
    assert values_of(inbox) == {"latent.classes.3": 0.5, "view.contrast": 2.0}
    for path in VALUES.values():
        assert bounds_at(Recipe(), path)
    assert all(name in HELP for name in VALUES)


def test_everything_that_a_sound_has_can_be_sent():
    assert set(HEARD) == set(FEATURES)


def test_only_news_are_told_and_the_newest_of_each():
    inbox = Inbox()
    inbox.take("/studio/psi", [0.1])
    inbox.take("/studio/psi", [0.2])
    first = inbox.news()
    assert values_of(inbox) == {"truncation.psi": 0.2}
    assert values_of(inbox, first.serial) == {}
    inbox.take("/studio/amount", [99])
    assert values_of(inbox, first.serial) == {"amount": 2.0}


def test_a_hit_counts_in_one_picture_and_a_level_until_it_is_stale():
    clock = Clock()
    inbox = Inbox(clock)
    _, then = inbox.heard(0.0)
    clock.now += 0.1
    inbox.take("/studio/onset_low", [0.8])
    inbox.take("/studio/onset_low", [])
    inbox.take("/studio/chroma/0", [7])
    heard, then = inbox.heard(then)
    assert heard == {"onset_low": 1.0, "chroma.0": 1.0}
    heard, then = inbox.heard(then)
    assert heard == {"chroma.0": 1.0}
    clock.now += STALE + 0.1
    assert inbox.heard(then)[0] == {}


def test_a_bundle_counts_at_once_whatever_its_time():
    builder = OscBundleBuilder(IMMEDIATELY + 1e9)
    for address in ("/studio/x", "/studio/y"):
        part = OscMessageBuilder(address)
        part.add_arg(1.5)
        builder.add_content(part.build())
    inbox = Inbox()
    assert inbox.take_packet(builder.build().dgram)
    assert values_of(inbox) == {"latent.x": 1.5, "latent.y": 1.5}


def test_names_do_not_pile_up():
    inbox = Inbox()
    for number in range(MOST_NAMES + 50):
        inbox.take(f"/studio/latent/classes/{number}", [1.0])
    assert len(inbox.news().values) == MOST_NAMES
