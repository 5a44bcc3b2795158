"""The frame in a real browser: every size, both themes, the keyboard, and words for everything."""

import pytest

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True}


@pytest.mark.parametrize("tab", ["Explore", "Mix"])
@pytest.mark.parametrize("size", [(390, 844), (768, 1024), (1280, 800), (1920, 1080)])
def test_nothing_scrolls_sideways(visit, tab, size):
    page = visit(viewport={"width": size[0], "height": size[1]}).page
    page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(300)
    wide = page.evaluate(
        """() => [document.documentElement,
                ...document.querySelectorAll(".studio-side, .studio-widget, .studio-stage, .studio-page, .studio-group")]
            .filter((part) => part.scrollWidth > part.clientWidth + 1).map((part) => part.className || part.tagName)"""
    )
    assert wide == []


def test_a_phone_shows_the_picture_and_the_first_control(visit):
    page = visit(**PHONE).page
    picture = page.locator("#studio-latent-board .studio-canvas").bounding_box()
    pad = page.locator(".studio-plane").bounding_box()
    strip = page.locator("#studio-strip").bounding_box()
    assert picture["y"] + picture["height"] <= pad["y"]
    assert pad["y"] + pad["height"] <= strip["y"]
    assert picture["width"] >= 280


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_words_stand_out_from_their_ground(visit, scheme):
    page = visit(color_scheme=scheme).page
    low = page.evaluate(
        """() => {
            const light = (text) => {
                const [r, g, b] = text.match(/[\\d.]+/g).slice(0, 3)
                    .map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = (part) => {
                for (; part; part = part.parentElement) {
                    const fill = getComputedStyle(part).backgroundColor;
                    if (!/, 0\\)$/.test(fill) && fill !== "transparent") return fill;
                }
                return "rgb(255, 255, 255)";
            };
            const isWords = (part) => [...part.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
            return [...document.querySelectorAll(".studio-widget *, #studio-tabs [role=tab]")]
                .filter((part) => part.checkVisibility() && !part.closest("[inert], .off, :disabled, .studio-tag") && isWords(part))
                .map((part) => {
                    const [a, b] = [light(getComputedStyle(part).color), light(ground(part))].sort((x, y) => y - x);
                    return [(a + 0.05) / (b + 0.05), part.className || part.tagName, part.textContent.slice(0, 20)];
                }).filter(([ratio]) => ratio < 4.5);
        }"""
    )
    assert low == []
    assert (
        page.evaluate("getComputedStyle(document.body).getPropertyValue('--ground').trim()")
        == {"dark": "#16171a", "light": "#f4f3f0"}[scheme]
    )


def test_back_and_forward_in_the_browser_go_through_the_tabs(person):
    page = person.page
    is_at = lambda tab: page.wait_for_function("(tab) => window.studio?.tabs.current() === tab", arg=tab)  # noqa: E731
    page.get_by_role("tab", name="Mix").click()
    is_at("mix")
    page.evaluate("studio.tabs.show('gallery')")
    is_at("gallery")
    page.wait_for_function("() => history.state.tab === 'gallery'")
    page.go_back()
    is_at("mix")
    page.go_back()
    is_at("explore")
    page.wait_for_timeout(300)
    page.go_forward()
    is_at("mix")
    page.get_by_role("tab", name="Mix").click()
    page.wait_for_timeout(300)
    page.reload()
    is_at("mix")
    page.go_forward()
    is_at("gallery")


def test_the_theme_can_be_changed_and_stays(person):
    page = person.page
    was = page.evaluate("studio.theme.dark()")
    page.get_by_role("button", name="Light or dark").click()
    page.reload()
    person.settled()
    assert page.evaluate("studio.theme.dark()") is not was


NAMED = "(part.getAttribute('aria-label') || part.labels?.length || part.textContent.trim())"
"""In the page: whether a control has a name for people who cannot see it."""


def test_every_control_is_reached_by_the_tab_key_and_has_a_name(person):
    page = person.page
    wanted = page.evaluate(
        """() => {
            const parts = [...document.querySelectorAll("#studio-top-bar, #studio-tabs, #studio-strip")]
                .flatMap((part) => [...part.querySelectorAll("button, input, [tabindex='0']")])
                .filter((part) => part.checkVisibility() && !part.disabled && part.tabIndex >= 0 && !part.closest("[aria-hidden=true]"));
            return new Set(parts.map((part) => part.type === "radio" ? part.name : part)).size;
        }"""
    )
    page.evaluate("document.activeElement.blur()")
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        page.evaluate("document.activeElement.dataset.seen = '1'")
    assert page.evaluate("document.querySelectorAll(':not(body)[data-seen]').length") >= wanted
    nameless = f"[...document.querySelectorAll('[data-seen]')].filter((part) => !{NAMED}).map((part) => part.outerHTML.slice(0, 120))"
    assert page.evaluate(nameless) == []


def test_keys_work_and_are_never_taken_from_a_text_field(person):
    page = person.page
    page.keyboard.press("2")
    page.wait_for_function("() => studio.tabs.current() === 'mix'")
    page.keyboard.press("1")
    page.wait_for_function("() => studio.tabs.current() === 'explore'")
    before = person.recipe()
    field = page.get_by_label("Seed", exact=True)
    field.focus()
    page.keyboard.press("r")
    page.keyboard.press("2")
    page.wait_for_timeout(200)
    assert page.evaluate("studio.tabs.current()") == "explore"
    assert person.recipe()["truncation"] == before["truncation"]


def test_the_list_of_keys_opens_and_closes(person):
    page = person.page
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard shortcuts")
    assert dialog.is_visible()
    assert "Random" in dialog.inner_text()
    page.keyboard.press("Escape")
    assert page.get_by_role("dialog").count() == 0


def test_help_appears_beside_a_focused_control(person):
    page = person.page
    page.get_by_label("Seed", exact=True).focus()
    page.keyboard.press("Tab")
    page.get_by_label("Psi", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert "how far from the average" in page.locator(".studio-help").inner_text()


def test_the_model_picker_is_used_with_the_keyboard(person):
    page = person.page
    page.get_by_role("button", name="Model: pomona").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_function("() => studio.model.facts.name === 'waves'")
    page.keyboard.press("z")
    page.wait_for_function("() => studio.model.facts.name === 'pomona'")


def test_the_speed_in_the_bar_is_that_of_the_model(person):
    person.random()
    assert person.page.locator(".studio-speed").inner_text().replace("\n", " ").startswith("cpu")


def test_a_restarted_server_goes_on_with_what_the_browser_remembers(visit, studio):
    person = visit()
    state = person.random().recipe()
    person.page.wait_for_timeout(400)
    studio.ctx.sessions._sessions.clear()
    person.page.reload()
    person.settled()
    assert person.recipe() == state


def test_previews_leave_no_files_behind(person, studio):
    for _ in range(5):
        person.random()
    assert [path for path in studio.ctx.settings.uploads.rglob("*") if path.is_file() and path.suffix in (".jpg", ".png", ".webp")] == []


def test_a_page_that_stays_open_goes_on_when_the_server_forgot_it(visit, studio):
    person = visit()
    person.random()
    person.page.wait_for_timeout(400)
    studio.ctx.sessions._sessions.clear()
    person.wait_code(person.random().recipe())
    person.wait_code(person.random().recipe())
    assert person.say() == ""
    person.page.keyboard.press("z")
    person.wait_say("Undone.")
