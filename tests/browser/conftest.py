"""A real Chromium, headless, and pages opened in it that are watched for errors and requests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cli.conftest import cli as cli  # noqa: PLC0414  # the fixture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

REQUIRED: Final = (
    "NORMONNX_BROWSER_REQUIRED"  # set by .ci/run: a browser that is missing is a failure
)
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")


def _unavailable(reason: str) -> None:
    if os.environ.get(REQUIRED):
        pytest.fail(f"{reason}, and {REQUIRED} is set")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser; tests are skipped without one, with the reason, unless one is required."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _unavailable("playwright is not installed: pip install 'normonnx[test]'")
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        _unavailable("there is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


@dataclass(slots=True, eq=False)
class Opened:
    """A page in the browser.

    Attributes:
        page: Playwright's page.
        complaints: What the console and the page's scripts said.
        requests: Addresses that were asked for, the file itself among them.
        seconds: From going there until it was loaded.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    seconds: float = 0.0


Open = Callable[..., Opened]


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Open]:
    """Open a file in a window of its own."""
    contexts = []

    def show(path: Path, *, offline_web: bool = True, **window: Any) -> Opened:  # noqa: ANN401  # as Playwright's new_context takes it
        window.setdefault("viewport", {"width": 1200, "height": 900})
        context = chromium.new_context(**window)
        contexts.append(context)
        found = Opened(context.new_page())
        found.page.on("console", lambda said: found.complaints.append(said.text))
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        if offline_web:
            context.route("http*://**", lambda route: route.abort())
        found.page.goto(path.as_uri(), wait_until="load")
        if not window.get("java_script_enabled", True):
            return found
        timing = "performance.getEntriesByType('navigation')[0].loadEventEnd"
        found.page.wait_for_function(f"{timing} > 0")
        found.seconds = found.page.evaluate(timing) / 1000
        return found

    yield show
    for context in contexts:
        context.close()
