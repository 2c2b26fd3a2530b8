"""Reports in a real browser: they open, filter, expand, print, and ask nobody for anything."""

from __future__ import annotations

import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

pytest.importorskip("jinja2", reason="reports need normonnx[report]")
pytest.importorskip("matplotlib", reason="reports need normonnx[report]")

from tests.browser.conftest import Open, Opened
from tests.browser.reports import page_of, write
from tests.cli.running import CUSTOM, Cli, with_weights

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
_PHONE: Final = {
    "viewport": {"width": 375, "height": 812},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
_HOSTILE: Final = (
    "<img src=x onerror=\"document.title='owned'\">",
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    "</title></style></svg><script>document.title='owned'</script>",
    "{{ 7 * 7 }} ${7*7} $x_1$",
    "javascript:alert(1)",
    "a\u2028b&lt;c",
)


@pytest.fixture(scope="module")
def demo(cli: Cli, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the demo, made by the command line."""
    pytest.importorskip("onnxruntime", reason="it measures on ONNX Runtime: normonnx[cpu]")
    path = tmp_path_factory.mktemp("demo") / "demo.html"
    start = time.perf_counter()
    ran = cli("demo", "--html", path)
    assert ran.code == 0, ran
    assert time.perf_counter() - start < 120  # 30 seconds on a machine of its own
    return path


def _is_quiet(found: Opened, path: Path) -> None:
    """No complaint, and no request but for the file itself."""
    assert found.complaints == []
    assert found.requests == [path.as_uri()]


def _open_all(page: Page) -> None:
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")


def test_the_demo_s_report_opens_and_holds_every_part(opened: Open, demo: Path) -> None:
    """Sections, tiles with figures, charts with words, and no request."""
    found = opened(demo)
    headings = found.page.locator("h2").all_text_contents()
    assert headings == [
        "Before and after",
        "What was rewritten",
        "What was left as it is",
        "Normalizations",
        "Accuracy",
        "Where each node ran",
        "Nodes",
        "To reproduce",
    ]
    tiles = dict(
        zip(
            found.page.locator(".tile dt").all_text_contents(),
            found.page.locator(".tile dd:not(.note)").all_text_contents(),
            strict=True,
        )
    )
    assert re.fullmatch(r"186 → \d+", tiles["Nodes"])
    assert re.fullmatch(r"[\d.]+× as fast|no difference", tiles["One run"])
    assert found.page.locator("h1").inner_text() == "demo.onnx"
    assert found.page.locator(".summary .badge").inner_text() == "pass"
    charts = found.page.locator("svg[role=img]")
    assert charts.count() >= 10
    for number in range(charts.count()):
        ids = str(charts.nth(number).get_attribute("aria-labelledby")).split()
        assert all(found.page.locator(f"[id='{one}']").text_content() for one in ids)
    assert "normonnx demo --html" in found.page.locator("#reproduce .code").inner_text()
    _is_quiet(found, demo)


def test_rows_are_found_filtered_sorted_and_opened(opened: Open, demo: Path) -> None:
    """As a reader does it, with keyboard and mouse."""
    found = opened(demo)
    place = found.page.locator("#node-list")
    total = int(place.locator(".count").inner_text().split()[0])
    place.locator("input").fill("lrn div")
    rows = place.locator("tr.row")
    assert 0 < rows.count() < total
    assert all("lrn" in text.lower() for text in rows.all_text_contents())
    assert place.locator(".count").inner_text() == f"{rows.count()} of {total} nodes"
    place.locator("input").fill("")
    place.get_by_label("what became of it").select_option(index=1)
    assert re.fullmatch(rf"\d+ of {total} nodes", place.locator(".count").inner_text())
    place.get_by_label("what became of it").select_option(index=0)
    place.get_by_role("button", name="adds (u)").click()
    cells = [text for text in rows.locator("td:nth-child(4)").all_text_contents() if text != "–"]
    assert [float(cell) for cell in cells] == sorted(map(float, cells), reverse=True)
    first = rows.first.get_by_role("button")
    first.focus()
    found.page.keyboard.press("Enter")
    assert first.get_attribute("aria-expanded") == "true"
    assert "tensors" in place.locator("tr.more").inner_text()
    found.page.keyboard.press("Enter")
    assert place.locator("tr.more").count() == 0
    _is_quiet(found, demo)


def test_plans_open_and_show_the_place_before_and_after(opened: Open, demo: Path) -> None:
    """What is folded away is not drawn until it is asked for."""
    found = opened(demo)
    plan = found.page.locator("#rewritten details").first
    assert not plan.locator("svg").is_visible()
    plan.locator("summary").click()
    assert plan.locator("svg").is_visible()
    assert plan.locator(".np-title").all_text_contents() == ["before", "after"]
    assert plan.locator(".np-gone").count() >= 1
    assert "folded into Conv" in plan.locator("td").nth(1).inner_text()
    _is_quiet(found, demo)


def test_dark_and_light_follow_the_reader(opened: Open, demo: Path) -> None:
    """Paper, ink, charts and pictures change; text keeps its contrast."""
    seen = {}
    for scheme in ("light", "dark"):
        found = opened(demo, color_scheme=scheme, viewport={"width": 1000, "height": 800})
        _open_all(found.page)
        style = "(selector, name) => getComputedStyle(document.querySelector(selector))[name]"
        seen[scheme] = [
            found.page.evaluate(f"([s, n]) => ({style})(s, n)", [selector, name])
            for selector, name in (
                ("body", "backgroundColor"),
                ("body", "color"),
                (".chart .k-muted-fill", "fill"),
                (".np-box", "fill"),
                (".note", "color"),
                (".badge", "color"),
            )
        ]
        paper = _brightness(seen[scheme][0])
        for ink in (seen[scheme][1], seen[scheme][2], seen[scheme][4]):
            assert _contrast(paper, _brightness(ink)) >= 4.5, (scheme, ink)
    assert all(a != b for a, b in zip(seen["light"], seen["dark"], strict=True))


def _brightness(color: str) -> float:
    """Relative luminance, as WCAG defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", color)[:3]]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: float, other: float) -> float:
    low, high = sorted((one, other))
    return (high + 0.05) / (low + 0.05)


def test_a_phone_scrolls_down_and_never_sideways(opened: Open, demo: Path) -> None:
    """Everything opened, the page is as wide as the screen; wide tables scroll by themselves."""
    found = opened(demo, **_PHONE)
    _open_all(found.page)
    width = found.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1] == 375
    beyond = found.page.evaluate(
        """() => [...document.querySelectorAll('main *, header *')].filter((one) =>
        !one.closest('.scroll, .rows') && one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.outerHTML.slice(0, 100))"""
    )
    assert beyond == []
    size = found.page.evaluate("parseFloat(getComputedStyle(document.body).fontSize)")
    assert size >= 16
    _is_quiet(found, demo)


def test_it_prints_with_everything_opened_and_nothing_cut_off(
    opened: Open, demo: Path, tmp_path: Path
) -> None:
    """Paper shows what a screen scrolls and folds; afterwards the page is as it was."""
    found = opened(demo, color_scheme="dark")
    closed = found.page.locator("details:not([open])").count()
    assert closed > 3
    found.page.evaluate(
        "addEventListener('beforeprint', () => { window.seen = "
        "document.querySelectorAll('details:not([open])').length; })"
    )
    content = found.page.pdf(path=tmp_path / "report.pdf")
    assert content.startswith(b"%PDF")
    assert found.page.evaluate("window.seen") == 0
    assert found.page.locator("details:not([open])").count() == closed
    found.page.set_viewport_size({"width": 700, "height": 990})  # a sheet of A4 without margins
    found.page.emulate_media(media="print")
    found.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    width = found.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    style = "(s, n) => getComputedStyle(document.querySelector(s))[n]"
    assert found.page.evaluate(f"({style})('body', 'backgroundColor')") == "rgb(255, 255, 255)"
    assert found.page.evaluate(f"({style})('.rows', 'maxHeight')") == "none"
    assert found.page.evaluate(f"({style})('nav', 'display')") == "none"
    _is_quiet(found, demo)


def test_markup_in_names_is_shown_as_text(opened: Open, tmp_path: Path) -> None:
    """Whatever nodes and the file are called, the page shows it and runs nothing."""
    names = [f"{name}{number}" for number, name in enumerate(_HOSTILE * 3)]
    path = write(page_of(names, _HOSTILE[0]), tmp_path / "hostile.html")
    found = opened(path)
    _open_all(found.page)
    assert found.page.title() == f"{_HOSTILE[0]} – normonnx validate"
    assert found.page.locator("h1").inner_text() == _HOSTILE[0]
    shown = found.page.locator("#node-list tr.row .open").all_text_contents()
    assert shown == [name.replace("\u2028", "\\u2028") for name in names]
    assert found.page.locator("img").count() == 0
    assert found.page.locator("script").count() == 1  # the page's own; those with data are read
    _is_quiet(found, path)


def test_a_model_full_of_markup_has_a_harmless_report(
    opened: Open, cli: Cli, tmp_path: Path
) -> None:
    """Names of nodes, values, graph, producer, domain and the file itself, through the whole tool."""
    bad = _HOSTILE[1]
    model = with_weights(CUSTOM)
    renamed = {"x": f"x{bad}", "y": f"y{_HOSTILE[0]}", "c": f"c{_HOSTILE[2]}", "w": f"w{bad}"}
    for number, node in enumerate(model.graph.node):
        node.name = f"n{number}{_HOSTILE[number]}"
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
        node.domain = f"acme{bad}" if node.domain else ""
    for one in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        one.name = renamed.get(one.name, one.name)
    model.opset_import[1].domain = f"acme{bad}"
    model.graph.name, model.producer_name = bad, _HOSTILE[3]
    source = tmp_path / "a<img src=x onerror=alert(1)>.onnx"
    source.write_bytes(model.SerializeToString())
    path, svg = tmp_path / "report.html", tmp_path / "place.svg"
    ran = cli("optimize", source, "--dry-run", "--html", path, "--no-measure")
    assert ran.code == 4, ran
    found = opened(path)
    _open_all(found.page)
    assert found.page.locator("h1").inner_text() == source.name
    assert found.page.title().startswith(source.name)
    assert bad in found.page.locator("main").inner_text()
    assert found.page.locator("img, iframe, main script").count() == 0
    _is_quiet(found, path)
    assert cli("inspect", source, "--svg", svg).code == 0
    drawn = opened(svg)
    assert drawn.page.evaluate("document.documentElement.tagName") == "svg"
    assert drawn.page.evaluate("document.querySelectorAll('script, image').length") == 0
    _is_quiet(drawn, svg)


def test_the_policy_holds_where_markup_gets_in_all_the_same(opened: Open, tmp_path: Path) -> None:
    """A page spoiled by hand: a server that it names is not asked, a script does not run."""
    asked: list[str] = []

    class Counting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *said: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Counting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    path = write(page_of(["a", "b", "c"]), tmp_path / "spoiled.html")
    spoiled = (
        f"<img src='{address}/image'><link rel=stylesheet href='{address}/style'>"
        f"<script src='{address}/script'></script><iframe src='{address}/frame'></iframe>"
        f"<script>document.title='owned';fetch('{address}/fetch')</script>"
        "<p style='color:red' onclick='1'>"
    )
    text = path.read_text(encoding="utf-8")
    for policy in (True, False):
        if not policy:  # the server is reached where nothing forbids it
            text = text.replace("Content-Security-Policy", "x-none")
        path.write_text(text.replace("<main id", f"{spoiled}<main id"), encoding="utf-8")
        found = opened(path, offline_web=False)
        if policy:
            assert asked == []
            assert found.page.title() != "owned"
            assert any("Content Security Policy" in said for said in found.complaints)
            assert (
                found.page.locator("#node-list tr.row").count() == 3
            )  # the page's own script runs
    assert {"/image", "/style", "/script", "/frame"} <= set(asked)
    server.shutdown()
    server.server_close()


def test_ten_thousand_nodes_open_at_once_and_filter_without_delay(
    opened: Open, tmp_path: Path
) -> None:
    """Under three seconds to open, a tenth to filter; all rows can be reached."""
    names = [f"/layer{number // 10}/block{number % 10}/op_{number}" for number in range(10_000)]
    path = write(page_of(names), tmp_path / "large.html")
    found = opened(path)
    assert found.seconds < 3
    place = found.page.locator("#node-list")
    assert place.locator(".count").inner_text() == "10,000 nodes"
    assert place.locator("tr.row").count() < 500
    taken = found.page.evaluate(
        """() => {
        const input = document.querySelector('#node-list input');
        return ['l', 'layer12', 'op_9999', 'no such', ''].map((text) => {
          const start = performance.now();
          input.value = text;
          input.dispatchEvent(new Event('input'));
          document.body.offsetHeight;
          return performance.now() - start;
        });
        }"""
    )
    assert sorted(taken)[len(taken) // 2] < 100, taken
    assert max(taken) < 500, taken
    place.locator("input").fill("op_9999")
    assert place.locator("tr.row").count() == 1
    place.locator("input").fill("")
    rows = place.locator(".rows")
    for _ in range(3):
        before = place.locator("tr.row").count()
        rows.evaluate("(one) => { one.scrollTop = one.scrollHeight; }")
        found.page.wait_for_function(
            "(n) => document.querySelectorAll('#node-list tr.row').length > n", arg=before
        )
    place.get_by_label("line").select_option(label="beyond (1)")
    assert place.locator("tr.row").count() == 1
    assert "op_5000" in place.locator("tr.row").inner_text()
    _is_quiet(found, path)


def test_without_scripts_all_but_the_lists_is_there(opened: Open, demo: Path) -> None:
    """Charts, tables and plans need none; each list says that it does."""
    found = opened(demo, java_script_enabled=False)
    assert found.page.locator("#node-list .nojs").is_visible()
    found.page.locator("#rewritten summary").first.click()
    assert found.page.locator("#rewritten svg").first.is_visible()
