"""What a run's numbers mean, in words."""

from studio.training.diagnosis import diagnose
from studio.training.settings import Tick


def tick(kimg: float = 100.0, kind: str = "step", **values: float) -> Tick:
    return Tick(kind, 1, round(kimg * 1000), 1.0, 0.1, 10.0, values)


def test_a_run_without_news_is_calm() -> None:
    assert [f.words for f in diagnose([tick(g_loss=1.0)])] == ["The run goes on as it should."]
    assert diagnose([])[0].words == "The run has not begun."


def test_samples_that_become_alike_are_a_warning_with_advice() -> None:
    (finding,) = diagnose([tick(diversity=d) for d in (0.5, 0.9, 0.4)])
    assert finding.is_warning
    assert "56% of their diversity is gone" in finding.words


def test_a_sure_discriminator_is_usual_early_and_memorising_late() -> None:
    sure = {"real_sign": 1.0, "fake_sign": -1.0}
    assert not diagnose([tick(2.0, **sure)] * 20)[0].is_warning
    assert "learning them by heart" in diagnose([tick(80.0, **sure)] * 20)[0].words


def test_getting_worse_after_the_best_is_said_and_getting_better_too() -> None:
    assert "still getting closer" in diagnose([tick(score=s) for s in (9.0, 5.0, 4.0, 3.0)])[0].words
    assert diagnose([tick(score=s) for s in (9.0, 3.0, 5.0, 6.0, 5.0)])[0].is_warning


def test_one_rollback_is_news_and_two_are_a_warning() -> None:
    once = [tick(kind="rollback")]
    assert [diagnose(once)[0].is_warning, diagnose(once * 2)[0].is_warning] == [False, True]


def test_copies_are_said_and_many_of_them_are_a_warning() -> None:
    few, many = ([tick(copies=share)] for share in (0.04, 0.3))
    assert "4%" in diagnose(few)[0].words
    assert not diagnose(few)[0].is_warning
    assert "by heart" in diagnose(many)[0].words
    assert diagnose(many)[0].is_warning
    assert "copies" not in diagnose([tick(copies=0.0)])[0].words


def test_gradients_that_vanish_or_run_away_are_said() -> None:
    usual = [tick(g_grad=1.0) for _ in range(80)]
    assert diagnose(usual)[0].words == "The run goes on as it should."
    assert "stopped learning" in diagnose(usual + [tick(g_grad=0.001)] * 20)[0].words
    assert "diverge" in diagnose(usual + [tick(g_grad=100.0)] * 20)[0].words
