"""Explore in a real browser: the picture follows the hand, and everything can be undone and brought back."""

import pytest
from people import drag_well

from studio.media import read_image


def plane(person):
    return person.page.locator(".studio-plane").bounding_box()


def wait_steps(person, at_least):
    person.page.wait_for_function("() => !document.querySelector('#studio-latent-board button[aria-label=Undo]').disabled")
    return at_least


def test_the_first_picture_is_there_without_a_click(person):
    person.wait_code(person.recipe())


def test_dragging_the_plane_shows_twenty_frames_a_second_with_little_overhead(person):
    drag_well(person)


def test_the_last_place_of_a_drag_is_what_is_shown_and_one_undo_step(person):
    before = person.recipe()
    box = plane(person)
    person.page.mouse.move(box["x"] + 60, box["y"] + 60)
    person.page.mouse.down()
    person.page.mouse.move(box["x"] + 150, box["y"] + 110, steps=12)
    person.page.mouse.up()
    person.settled()
    after = person.recipe()
    assert after["latent"] != before["latent"]
    person.wait_code(after)
    person.page.keyboard.press("z")
    person.wait_code(before)
    assert person.recipe() == before


def test_clicking_a_picture_of_the_plane_goes_exactly_to_its_seed(person):
    box = plane(person)
    person.page.mouse.click(box["x"] + box["width"] * 0.5 + 70, box["y"] + box["height"] * 0.5)
    latent = person.settled().recipe()["latent"]
    assert latent["x"] == round(latent["x"]) and latent["y"] == round(latent["y"])
    assert latent["x"] == 1


def test_undo_goes_back_a_hundred_steps_and_redo_forward_again(person):
    page = person.page
    page.evaluate("async () => { for (let i = 1; i <= 110; i += 1) { studio.recipe.change({ 'latent.x': i }); studio.recipe.commit(); } }")
    person.page.wait_for_function("() => !document.querySelector('button[aria-label=Undo]').disabled")
    for _ in range(100):
        page.keyboard.press("z")
    page.wait_for_function("() => studio.recipe.value.latent.x === 10")
    person.wait_code(person.recipe())
    page.keyboard.press("Shift+Z")
    page.wait_for_function("() => studio.recipe.value.latent.x === 11")
    person.wait_code(person.recipe())


def test_a_reload_keeps_the_state_and_the_undo_steps(person):
    before = person.recipe()
    person.random()
    person.page.get_by_label("Psi", exact=True).focus()
    person.page.keyboard.press("]")
    person.page.wait_for_function("() => studio.recipe.value.truncation.psi > 0.7")
    person.page.wait_for_timeout(700)
    state = person.settled().recipe()
    person.page.reload()
    person.settled()
    assert person.recipe() == state
    person.wait_code(state)
    for _ in range(2):
        person.page.keyboard.press("z")
    person.page.wait_for_function("(x) => studio.recipe.value.latent.x === x", arg=before["latent"]["x"])
    person.wait_code(before)


def test_a_saved_picture_dropped_on_the_page_brings_every_control_back(person, studio):
    page = person.random().page
    page.evaluate(
        """() => { studio.recipe.change({ "truncation.psi": 0.35, "truncation.cutoff": 5, "noise.mode": "random", "noise.seed": 9,
            "noise.strength": 0.5, "latent.classes": [[2, 0.25], [5, 0.75]] }); studio.recipe.commit(); }"""
    )
    made = person.settled().recipe()
    page.keyboard.press("s")
    person.wait_say("Saved pomona-")
    file = max(studio.ctx.settings.pictures.glob("*.png"), key=lambda path: path.stat().st_mtime)
    pixels = read_image(file).image
    page.evaluate("() => studio.model.choose('waves')")
    page.wait_for_function("() => studio.model.facts.name === 'waves'")
    person.random()
    person.drop(file)
    person.wait_say("Everything is as it was")
    assert person.settled().recipe() == made
    person.wait_code(made)
    assert page.get_by_label("Psi, as a number").input_value() == "0.35"
    assert page.get_by_label("Cutoff, as a number").input_value() == "5"
    assert page.get_by_label("Noise seed").input_value() == "9"
    assert page.get_by_label("lemon").input_value() == "0.75"
    page.keyboard.press("s")
    person.wait_say("Saved pomona-")
    page.wait_for_timeout(300)
    again = max(studio.ctx.settings.pictures.glob("*.png"), key=lambda path: path.stat().st_mtime)
    assert again != file
    assert (read_image(again).image == pixels).all()
    page.keyboard.press("z")
    page.wait_for_function("() => studio.model.facts.name === 'waves'")


def test_a_picture_of_a_model_that_is_not_here_says_so_and_changes_nothing(person, tmp_path):
    from fake_studio import picture_of

    from studio.media import write_image
    from studio.recipe import ModelRef, Recipe

    foreign = Recipe(model=ModelRef(name="elsewhere"))
    write_image(tmp_path / "foreign.png", picture_of(foreign), recipe=foreign)
    before = person.recipe()
    person.drop(tmp_path / "foreign.png")
    person.wait_say("'elsewhere', which is not installed")
    assert person.recipe() == before


def test_a_stray_file_leaves_the_page_as_it_is(person, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    before = person.recipe()
    person.drop(tmp_path / "notes.txt")
    person.wait_say("notes.txt: the studio opens pictures, films, sounds and model files.")
    assert person.recipe() == before
    assert person.page.url == person.url


def test_two_people_do_not_share_a_state(visit):
    ada, ben = visit(), visit()
    start = ben.recipe()
    ada.random()
    ben.page.reload()
    ben.settled()
    assert ben.recipe() == start
    assert ada.page.evaluate("studio.session.token") != ben.page.evaluate("studio.session.token")
    assert ben.page.locator(".studio-strip-item").count() == 1
    assert ada.page.locator(".studio-strip-item").count() == 2
    assert ben.page.get_by_label("Undo").is_disabled()


def test_lock_keeps_the_place_while_random_varies_the_rest(person):
    page = person.page
    page.keyboard.press("l")
    before = person.recipe()
    page.keyboard.press("r")
    page.wait_for_function("(psi) => studio.recipe.value.truncation.psi !== psi", arg=before["truncation"]["psi"])
    assert (person.recipe()["latent"]["x"], person.recipe()["latent"]["y"]) == (before["latent"]["x"], before["latent"]["y"])


def test_holding_compare_shows_the_picture_before_and_letting_go_the_present_one(person):
    before = person.recipe()
    after = person.random().recipe()
    button = person.page.get_by_role("button", name="Hold to compare")
    button.hover()
    person.page.mouse.down()
    person.wait_code(before)
    person.page.mouse.up()
    person.wait_code(after)


def test_a_picture_of_the_strip_brings_its_place_back(person):
    first = person.recipe()
    person.random()
    person.page.wait_for_function("() => document.querySelectorAll('.studio-strip-item').length === 2")
    person.page.locator(".studio-strip-item .picture").nth(1).click()
    person.page.wait_for_function("(x) => studio.recipe.value.latent.x === x", arg=first["latent"]["x"])
    person.wait_code(first)


def test_a_star_keeps_the_picture_in_the_gallery(person, studio):
    count = len(list(studio.ctx.settings.pictures.glob("*.png")))
    star = person.page.locator(".studio-strip-item .star").first
    star.click()
    person.wait_say("Kept pomona-")
    assert star.get_attribute("aria-pressed") == "true"
    assert len(list(studio.ctx.settings.pictures.glob("*.png"))) == count + 1


@pytest.mark.parametrize(
    ("name", "shown", "hidden"), [("waves", "Noise", "Frame"), ("drift", "Frame", "Noise"), ("pomona", "Kinds", "Frame")]
)
def test_a_model_has_the_controls_it_can_use_and_no_others(person, name, shown, hidden):
    person.page.evaluate("(name) => studio.model.choose(name)", name)
    person.page.wait_for_function("(name) => studio.model.facts.name === name", arg=name)
    titles = person.page.locator("#studio-latent-board .studio-group h2").all_inner_texts()
    assert any(shown in title for title in titles)
    assert not any(hidden in title for title in titles)


def test_class_weights_sum_to_one(person):
    page = person.page
    for name in ("lemon", "plum", "fig"):
        page.get_by_label(name, exact=True).focus()
        for _ in range(3):
            page.keyboard.press("]")
    weights = dict(person.recipe()["latent"]["classes"])
    assert len(weights) == 3
    assert abs(sum(weights.values()) - 1) < 0.001


def test_a_double_click_resets_a_control(person):
    page = person.page
    slider = page.get_by_label("Psi", exact=True)
    box = slider.bounding_box()
    page.mouse.dblclick(box["x"] + 20, box["y"] + box["height"] / 2)
    page.wait_for_function("() => studio.recipe.value.truncation.psi === 0.7")
    assert page.get_by_label("Psi, as a number").input_value() == "0.7"


def test_a_number_is_typed_digit_by_digit_while_the_picture_follows(person):
    page = person.page
    box = page.get_by_label("Psi, as a number")
    box.click()
    box.press("Control+A")
    page.keyboard.type("-0.35")
    assert person.recipe()["truncation"]["psi"] == -0.35
    assert box.input_value() == "-0.35"
    page.keyboard.press("Enter")
    person.wait_code(person.recipe())
    box.click()
    box.press("Control+A")
    page.keyboard.type("99")
    page.keyboard.press("Enter")
    assert box.input_value() == "2"
    assert person.recipe()["truncation"]["psi"] == 2


def test_shift_drag_and_the_wheel_make_fine_and_coarse_steps(person):
    page = person.page
    slider = page.get_by_label("Psi", exact=True)
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 200, y)
    page.keyboard.down("Shift")
    page.mouse.down()
    page.mouse.move(box["x"] + 300, y, steps=5)
    page.mouse.up()
    page.keyboard.up("Shift")
    moved = person.recipe()["truncation"]["psi"] - 0.7
    assert 0 < moved < 0.15
    number = page.get_by_label("Psi, as a number")
    before = person.recipe()["truncation"]["psi"]
    number.focus()
    number.hover()
    page.mouse.wheel(0, -100)
    page.wait_for_function("(psi) => studio.recipe.value.truncation.psi > psi", arg=before)


def test_seeds_and_pictures_are_blended_in_by_weight_and_taken_out_again(person):
    page = person.page
    before = person.recipe()
    page.get_by_text("Blend", exact=True).click()
    page.get_by_label("Seed to blend in").fill("7")
    page.get_by_role("button", name="Add", exact=True).locator("visible=true").click()
    weight = page.get_by_role("slider", name="seed 7")
    weight.focus()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("() => studio.recipe.value.blends[0].weight < 1")
    person.wait_code(person.recipe())
    assert weight.evaluate("node => node === document.activeElement"), "the bar in hand is not drawn anew"
    page.get_by_label("Take out seed 7").click()
    person.wait_code(before)
    assert person.recipe() == before


def test_a_model_with_kinds_says_what_psi_pulls_towards_and_every_choice_can_be_undone(person):
    page = person.page
    pull = page.get_by_role("region", name="Character", exact=True).get_by_role("group", name="Psi pulls towards", exact=True)
    for label, towards, is_place in (("All kinds", "average", False), ("This place", "average", True), ("Its kind", "class", False)):
        before = person.recipe()
        pull.get_by_role("radio", name=label, exact=True).check()
        truncation = person.settled().recipe()["truncation"]
        assert (truncation["towards"], truncation["center"] is not None) == (towards, is_place)
        page.keyboard.press("z")
        person.wait_code(before)
        page.keyboard.press("Shift+Z")
        page.wait_for_function(
            "(wanted) => JSON.stringify(studio.recipe.value.truncation) === wanted",
            arg=page.evaluate("(x) => JSON.stringify(x)", truncation),
        )
        assert pull.get_by_role("radio", checked=True).evaluate("(radio) => radio.parentElement.textContent") == label


def test_another_model_begins_with_the_pull_that_suits_it(person):
    page = person.page
    assert person.recipe()["truncation"]["towards"] == "class"
    for name, towards in (("waves", "average"), ("pomona", "class")):
        page.evaluate("(name) => studio.model.choose(name)", name)
        page.wait_for_function("(name) => studio.recipe.value.model.name === name", arg=name)
        assert person.recipe()["truncation"]["towards"] == towards
        in_character = page.get_by_role("region", name="Character", exact=True).get_by_role("group", name="Psi pulls towards")
        assert in_character.count() == (1 if towards == "class" else 0)
