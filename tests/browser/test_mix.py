"""Mix in a real browser: a sheet of cells to look at, and one to adopt."""


def open_mix(person):
    person.page.get_by_role("tab", name="Mix").click()
    person.page.wait_for_selector("#studio-mix-board .studio-widget[data-ready]")
    wait_full(person)
    return person.page


def wait_full(person):
    person.page.wait_for_function("() => document.querySelector('#studio-mix-board .studio-progress.idle')")


def test_the_sheet_fills_itself_and_a_click_adopts_a_cell_in_explore(person):
    page = open_mix(person)
    before = person.recipe()
    page.locator(".studio-sheet [data-row='2'][data-column='3']").click()
    page.wait_for_function("() => studio.tabs.current() === 'explore'")
    adopted = person.settled().recipe()
    assert adopted["latent"]["x"] == 100
    assert adopted["mixing"][0]["latent"]["x"] == 1789
    assert adopted["mixing"][0]["weights"][:3] == [1, 1, 1]
    person.wait_code(adopted)
    page.keyboard.press("z")
    person.wait_code(before)


def test_group_buttons_and_faders_say_the_same(person):
    page = open_mix(person)
    faders = page.locator("#studio-mix-board .studio-faders input")
    values = lambda: [float(faders.nth(i).input_value()) for i in range(faders.count())]  # noqa: E731
    assert values() == [1] * 3 + [0] * 9
    page.get_by_role("button", name="Fine").click()
    assert values() == [1] * 3 + [0] * 4 + [1] * 5
    page.get_by_role("button", name="Coarse").click()
    assert values() == [0] * 7 + [1] * 5
    faders.nth(11).focus()
    page.keyboard.press("[")
    assert page.get_by_role("button", name="Fine").get_attribute("aria-pressed") == "mixed"
    wait_full(person)


def test_a_picture_dragged_from_the_strip_becomes_a_source(person):
    person.random()
    page = open_mix(person)
    seed = person.recipe()["latent"]["x"]
    count = page.locator(".studio-sheet [data-row='1']").count()
    page.locator(".studio-strip-item .picture").first.drag_to(page.locator(".studio-group", has_text="Across the top"))
    page.wait_for_function("(count) => document.querySelectorAll(\".studio-sheet [data-row='1']\").length === count + 1", arg=count)
    assert page.locator(".studio-chip", has_text=str(int(seed))).count() >= 1


def test_the_sheet_is_walked_with_the_arrow_keys(person):
    page = open_mix(person)
    page.locator(".studio-sheet [data-row='1'][data-column='1']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("[document.activeElement.dataset.row, document.activeElement.dataset.column]") == ["2", "2"]
    page.keyboard.press("Enter")
    page.wait_for_function("() => studio.tabs.current() === 'explore'")


def test_the_sheet_survives_a_reload(person):
    page = open_mix(person)
    page.get_by_role("button", name="New seeds").click()
    chips = page.locator(".studio-chip").all_inner_texts()
    page.reload()
    person.settled()
    page = open_mix(person)
    assert page.locator(".studio-chip").all_inner_texts() == chips
