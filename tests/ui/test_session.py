"""Sessions: steps to go back, who sees what, and forgetting."""

from dataclasses import replace

import pytest

from studio.errors import StudioError
from studio.recipe import Latent, ModelRef, Recipe, Restyle
from studio.ui.session import CALLS_PER_SESSION, STRIP_LENGTH, UNDO_STEPS, History, SessionStore


def at(x):
    return Recipe(latent=Latent(x=float(x)))


def store(tmp_path, **options):
    return SessionStore(tmp_path / "pictures", **{"public": False, **options})


def test_undo_returns_every_step_backwards_and_redo_forwards():
    history = History()
    for x in range(150):
        history.push(at(x))
    assert [history.undo().latent.x for _ in range(149)] == list(range(148, -1, -1))
    assert history.undo() is None
    assert [history.redo().latent.x for _ in range(149)] == list(range(1, 150))
    assert history.redo() is None


def test_a_new_step_after_undo_forgets_what_was_undone():
    history = History()
    for x in range(5):
        history.push(at(x))
    history.undo()
    history.undo()
    history.push(at(9))
    assert history.redo_steps == 0
    assert history.undo() == at(2)


def test_the_same_step_twice_is_one_step():
    history = History()
    assert history.push(at(1))
    assert not history.push(at(1))
    assert history.undo_steps == 0


def test_at_least_a_hundred_steps_are_kept_and_not_endlessly_many():
    assert UNDO_STEPS >= 100
    history = History(limit=3)
    for x in range(10):
        history.push(at(x))
    assert history.undo_steps == 3
    assert history.before == at(8)


def test_a_token_finds_its_session_and_a_made_up_one_gets_a_new_one(tmp_path):
    sessions = store(tmp_path)
    ada = sessions.open()
    assert sessions.open(ada.token) is ada
    stranger = sessions.open("guess")
    assert stranger is not ada
    assert stranger.token not in ("guess", ada.token)
    with pytest.raises(StudioError, match="Reload"), sessions.call("guess"):
        pass


def test_too_many_requests_at_once_are_turned_away_and_later_ones_served(tmp_path):
    sessions = store(tmp_path)
    token = sessions.open().token
    calls = [sessions.call(token) for _ in range(CALLS_PER_SESSION)]
    for call in calls:
        call.__enter__()
    with pytest.raises(StudioError, match="busy"), sessions.call(token):
        pass
    for call in calls:
        call.__exit__(None, None, None)
    with sessions.call(token) as session:
        assert session.calls == 1


def test_a_session_is_forgotten_after_its_hours(tmp_path):
    now = [0.0]
    sessions = store(tmp_path, hours=1, clock=lambda: now[0])
    token = sessions.open().token
    now[0] = 3601
    sessions.open()
    with pytest.raises(StudioError), sessions.call(token):
        pass


def test_crowding_drops_the_ones_that_made_nothing_first(tmp_path):
    sessions = store(tmp_path, max_sessions=3)
    worker = sessions.open()
    for x in range(3):
        worker.history.push(at(x))
    for _ in range(10):
        sessions.open()
    assert len(sessions) == 3
    assert sessions.open(worker.token) is worker


def test_public_visitors_have_folders_of_their_own_that_go_with_them(tmp_path):
    now = [0.0]
    sessions = store(tmp_path, public=True, hours=1, clock=lambda: now[0])
    ada, ben = sessions.open(), sessions.open()
    assert ada.pictures != ben.pictures
    assert ada.token not in str(ada.pictures)
    ada.pictures.mkdir(parents=True)
    now[0] = 3601
    sessions.open()
    assert not ada.pictures.exists()


def test_the_strip_moves_a_picture_up_instead_of_repeating_it_and_stays_short(tmp_path):
    session = store(tmp_path).open()
    for x in range(STRIP_LENGTH + 10):
        session.add_picture(at(x), b"jpeg")
    assert len(session.strip) == STRIP_LENGTH
    known = session.strip[5]
    assert session.add_picture(known.recipe, b"jpeg") is known
    assert session.strip[0] is known
    assert len(session.strip) == STRIP_LENGTH


def test_a_picture_that_is_wanted_larger_is_the_same_picture_in_the_strip(tmp_path):
    session = store(tmp_path).open()
    item = session.add_picture(at(1), b"jpeg")
    larger = replace(at(1), size=2048, enlarge=(ModelRef("enlarge-4x"),))
    assert session.add_picture(larger, b"jpeg") is item and item.recipe == larger
    assert [entry.id for entry in session.strip] == [item.id]
    crisp = replace(larger, restyle=Restyle())
    assert session.add_picture(crisp, b"jpeg") is not session.add_picture(replace(crisp, enlarge=()), b"jpeg"), "strokes differ"


def test_a_starred_picture_outlives_the_others_in_the_strip(tmp_path):
    session = store(tmp_path).open()
    kept = session.add_picture(at(-1), b"jpeg")
    kept.kept = "pomona-0001.png"
    for x in range(STRIP_LENGTH + 10):
        session.add_picture(at(x), b"jpeg")
    assert kept in session.strip
    assert session.find_picture(kept.id) is kept
    with pytest.raises(StudioError, match="no longer in the strip"):
        session.find_picture("gone")
