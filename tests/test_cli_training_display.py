"""A training run in the terminal says what the page says."""

from io import StringIO

from rich.console import Console
from rich.live import Live

from studio.cli.training_display import Display
from studio.training.settings import Settings, Tick

SETTINGS = Settings(family="stylegan2", data=("fruit",), name="fruit", minutes=10.0)


def tick(kind: str, seconds: float, **values: float) -> Tick:
    return Tick(kind, 10, 1000, seconds, seconds / 600, 31.0, values)


def shown(*ticks: Tick, is_terminal: bool) -> str:
    output = StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=120)
    with Live(console=console, refresh_per_second=1) as live:
        display = Display(SETTINGS, console, live)
        for one in ticks:
            display.tell(one)
    return output.getvalue()


def test_a_terminal_shows_where_the_run_stands_its_numbers_and_how_it_goes() -> None:
    text = shown(tick("step", 240.0, g_loss=2.5, real_sign=0.4), tick("state", 240.0, copies=0.5), is_terminal=True)
    assert "Training fruit" in text
    assert "1.0 thousand pictures seen in 4 minutes, 6 minutes left" in text
    assert "pictures a second 31.0, generator 2.500" in text
    assert "50% of the samples are all but copies" in text


def test_a_pipe_gets_a_line_for_each_saved_state_and_no_bar() -> None:
    text = shown(tick("step", 60.0, g_loss=2.5), tick("step", 66.0), tick("state", 300.0), is_terminal=False)
    lines = [line for line in text.splitlines() if line.strip()]
    assert lines[-1].startswith("50%: 1.0 thousand pictures seen in 5 minutes")
    assert len([line for line in lines if "%: " in line]) == 2
