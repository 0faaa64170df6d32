"""The pages in a real Chromium: what a person sees, presses and is told, with a real service and its coordinator."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from search_spaces.tokens import TokenRequest
from search_spaces.work import Announcement
from service.coordinator import Coordinator
from service.dashboard import dashboard_application, dashboard_server
from store import Store, open_store
from store.studies import fail, get_study, submit
from store.tokens import create_token
from store.workers import announce
from tests.browser import PHONE, WAIT_MS, chromium, opened, overflows
from tests.integration.service_http import serving
from tests.integration.service_simulation import SimulatedWorker, drive, simulated
from tests.studies import OFFER, run_study, study_spec

HOSTILE = '<img src=x onerror="window.hacked = 1"><script>window.hacked = 2</script>'
CONTRAST = """() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = (colour) => {
    const [red, green, blue] = colour.match(/[\\d.]+/g).map(Number);
    return 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  };
  const ground = (element) => {
    for (; element; element = element.parentElement) {
      const colour = getComputedStyle(element).backgroundColor;
      if (!colour.endsWith(", 0)")) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const written = [...document.querySelectorAll("body *")].filter((element) =>
    element.getClientRects().length && !["SCRIPT", "STYLE", "TITLE"].includes(element.tagName.toUpperCase()) &&
    [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim()));
  return Math.min(...written.map((element) => {
    const style = getComputedStyle(element);
    const svg = element.namespaceURI.endsWith("svg");
    const [a, b] = [light(svg ? style.fill : style.color), light(ground(element))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  }));
}"""
"""The least contrast of a text on the page with what is behind it, as WCAG 2 defines it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def store(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    file = tmp_path_factory.mktemp("pages") / "etude.db"
    shutil.copy(sqlite_template, file)
    opened_store = open_store(f"sqlite:///{file}")
    yield opened_store
    opened_store.close()


@pytest.fixture(scope="module")
def host(store: Store) -> Iterator[str]:
    with serving(store) as client:
        yield str(client.base_url).rstrip("/")


@pytest.fixture(scope="module")
def worker(store: Store) -> SimulatedWorker:
    return simulated(store)


@pytest.fixture(scope="module")
def coordinator(store: Store) -> Coordinator:
    return Coordinator(store, owner="pages")


@pytest.fixture(scope="module")
def submitted(
    browser: Browser, host: str, store: Store, worker: SimulatedWorker, coordinator: Coordinator
) -> dict[str, list[str]]:
    """A study sent by the form and searched to its verdict while its report was open; what that page said."""
    told: dict[str, list[str]] = {"headlines": []}
    with opened(browser, host) as seen:
        page = seen.page
        page.get_by_label("Name").fill("by-form")
        page.get_by_label("Trials", exact=True).fill("12")
        page.get_by_label("Seed", exact=True).fill("3")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url("**/v1/studies/by-form/report")
        headline = page.locator("#headline")
        expect(page.locator("#live")).to_have_text("live")
        told["headlines"].append(headline.inner_text())
        drive(store, worker, "by-form", coordinator=lambda: coordinator, until=lambda: ended(store) >= 3)
        expect(headline).to_contain_text(re.compile(r"\([1-9]\d* of 12 trials\)"), timeout=WAIT_MS)
        told["headlines"].append(headline.inner_text())
        drive(store, worker, "by-form", coordinator=lambda: coordinator)
        expect(page.locator(".badge")).to_have_text(re.compile("Winner|No winner|Undecided"), timeout=WAIT_MS)
        expect(page.locator("#live")).to_be_hidden()
        told["headlines"].append(headline.inner_text())
        told["status"] = [page.get_by_role("status").inner_text()]
        told |= {"said": seen.said, "elsewhere": seen.elsewhere}
    return told


def ended(store: Store) -> int:
    return get_study(store, "by-form").counts.ended


def test_a_study_sent_by_the_form_is_followed_live_to_its_verdict(
    submitted: dict[str, list[str]], store: Store
) -> None:
    """The report opens by itself, shows trials as they end, then the verdict, and says it to who cannot see it."""
    first, midway, last = submitted["headlines"]

    spec = get_study(store, "by-form").spec
    assert (spec.task.name, spec.budget.trials, spec.seed, spec.space.preset) == (OFFER.name, 12, 3, "general")
    assert len({first, midway, last}) == 3
    assert submitted["status"] == [last]


def test_no_request_leaves_the_host_and_the_console_is_silent(submitted: dict[str, list[str]]) -> None:
    """From the form to the verdict: nothing asked of anybody else, nothing refused by the policy, no error."""
    assert (submitted["elsewhere"], submitted["said"]) == ([], [])


def test_the_code_is_copied_for_the_chosen_framework_by_keyboard_alone(
    browser: Browser, host: str, submitted: dict[str, list[str]]
) -> None:
    """Tab reaches the choice and the button in the order in which they stand; Enter copies what is shown."""
    allowed = ["clipboard-read", "clipboard-write"]
    with opened(browser, host, "/v1/studies/by-form/report", permissions=allowed) as seen:
        page = seen.page
        reached: list[str] = []
        while not reached or reached[-1] != "framework":
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()"))
            assert len(reached) < 30
        page.keyboard.press("o")  # optax
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        page.keyboard.press("Enter")
        expect(page.locator("#copy")).to_have_text("Copied")
        copied = page.evaluate("navigator.clipboard.readText()")
        shown = page.locator("pre[data-framework]:visible code")

        assert reached[0] == "Skip to the content"
        assert "theme" in reached
        assert outline == "solid"
        assert shown.count() == 1
        assert copied == shown.text_content()
        assert "import optax" in copied


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_can_be_read(browser: Browser, host: str, submitted: dict[str, list[str]], theme: str) -> None:
    """The system's choice holds until the button is pressed; every text has a contrast of 4.5 in both."""
    with opened(browser, host, "/v1/studies/by-form/report", color_scheme=theme) as seen:
        page = seen.page
        ground = "getComputedStyle(document.body).backgroundColor"
        chosen, contrast = page.evaluate(ground), page.evaluate(CONTRAST)
        page.locator("#theme").click()
        other, other_contrast = page.evaluate(ground), page.evaluate(CONTRAST)
        page.reload()

        assert (chosen == "rgb(255, 255, 255)") == (theme == "light")
        assert other != chosen
        assert page.evaluate(ground) == other
        assert min(contrast, other_contrast) >= 4.5


def test_every_page_fits_a_phone(browser: Browser, host: str, store: Store, submitted: dict[str, list[str]]) -> None:
    """At 375 pixels nothing scrolls sideways but tables and code within themselves."""
    run_study(store, "just-begun")

    for path in ("/", "/v1/studies/by-form/report", "/v1/studies/just-begun/report", "/v1/studies/none/report"):
        with opened(browser, host, path, viewport=PHONE) as seen:
            assert (path, overflows(seen.page)) == (path, False)


def test_what_the_service_refuses_is_said_at_its_field(browser: Browser, host: str, worker: SimulatedWorker) -> None:
    """The problem's fields are marked and take the focus; nothing is stored, and what was typed stays."""
    with opened(browser, host) as seen:
        page = seen.page
        page.get_by_label("Name").fill("Not A Name")
        page.get_by_label("Trials", exact=True).fill("0")
        page.get_by_role("button", name="Submit").click()
        expect(page.locator("#name-error")).not_to_be_empty()
        expect(page.locator("#trials-error")).not_to_be_empty()

        assert page.locator("#name").get_attribute("aria-invalid") == "true"
        assert page.evaluate("document.activeElement.id") == "name"
        assert page.locator("#name").input_value() == "Not A Name"
        assert page.url == f"{host}/"


def test_hostile_words_are_shown_and_never_run(browser: Browser, host: str, store: Store) -> None:
    """What users and workers wrote is text on both pages, also where a live page puts it in."""
    submit(store, study_spec("hostile", task={"name": HOSTILE}, tags=[HOSTILE]), resolved=None, space=None)

    with opened(browser, host, "/v1/studies/hostile/report") as seen:
        expect(seen.page.locator("#live")).to_have_text("live")
        fail(store, "hostile", HOSTILE)
        expect(seen.page.locator(".badge")).to_have_text("failed")
        assert HOSTILE in seen.page.locator("main").inner_text()
        seen.page.goto(host)
        assert HOSTILE in seen.page.locator("main").inner_text()

        assert seen.page.evaluate("window.hacked") is None
        assert (seen.said, seen.elsewhere) == ([], [])


def test_the_optuna_dashboard_shows_the_curves_and_the_note(
    browser: Browser, store: Store, coordinator: Coordinator, submitted: dict[str, list[str]]
) -> None:
    """On its own pages, read-only and asking nobody else: the figure among the others, the verdict as a note."""
    coordinator.round()  # has found that the study has ended
    url = store.engine.url.render_as_string(hide_password=False)
    with showing(url) as host:
        found = httpx.get(f"{host}/api/studies", trust_env=False).json()["study_summaries"]
        number = next(one["study_id"] for one in found if one["study_name"] == "by-form")
        with opened(browser, host, f"/dashboard/studies/{number}") as seen:
            figure = seen.page.locator("[id='user-defined-plot:etude-learning-rates']")
            expect(figure).to_contain_text("Learning rates of the best", timeout=WAIT_MS)
            seen.page.goto(f"{host}/dashboard/studies/{number}/note")
            expect(seen.page.locator("body")).to_contain_text(submitted["headlines"][-1], timeout=WAIT_MS)
            expect(seen.page.locator("body")).to_contain_text("def build(")

            assert seen.elsewhere == []


@contextmanager
def showing(url: str) -> Iterator[str]:
    """The dashboard as we serve it, over the store at `url`."""
    server = dashboard_server(dashboard_application(url), "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_person_logs_in_reads_and_submits_only_where_that_was_asked_for(
    browser: Browser, sqlite_template: Path, tmp_path: Path
) -> None:
    """The form under its policy leads back to the page; a session that only reads is told so at the form of studies."""
    guarded = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'etude.db')}")
    announce(guarded, "w", Announcement(tasks=[OFFER]))
    token = create_token(guarded, TokenRequest(name="root", scopes=["admin"])).token
    with serving(guarded) as client, opened(browser, str(client.base_url).rstrip("/"), "/?tag=mine") as seen:
        page = seen.page
        for submits in (False, True):
            page.get_by_label("Token").fill(token)
            page.get_by_label("also submit and change studies").set_checked(submits)
            page.get_by_role("button", name="Log in").click()
            expect(page).to_have_url(re.compile(r"/\?tag=mine$"))
            page.get_by_label("Name").fill("from-the-page")
            page.get_by_role("button", name="Submit").click()
            if not submits:
                expect(page.locator("#submit-error")).to_contain_text("log in anew")
                page.goto(f"{seen.host}/login?next=/%3Ftag%3Dmine")
        expect(page).to_have_url(re.compile(r"/v1/studies/from-the-page/report$"))
        submitted = get_study(guarded, "from-the-page").name
        policies = [text for text in seen.said if "Content Security Policy" in text]
    guarded.close()

    assert (submitted, policies, seen.elsewhere) == ("from-the-page", [], [])
