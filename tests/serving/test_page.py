"""The page in a real browser, at the widths of a desk and of a phone."""

import html
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from crossrec.serving import api
from crossrec.serving.service import Service

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "")
HOSTILE = "<img src=x onerror=hacked=1><script>hacked=1</script> oak"
# What a visitor does: picks somebody, searches, adds what was found; then what they see.
VISIT = """
const wait = async found => { while (!found()) await new Promise(go => setTimeout(go, 20)); };
const lists = () => [...document.querySelectorAll("#lists section")].map(section => ({
  name: section.querySelector("h2").textContent,
  items: [...section.querySelectorAll("li > div:first-child")].map(item => item.textContent),
  why: section.querySelectorAll(".why").length }));
(async () => {
  await wait(() => document.querySelector("#lists .bar"));
  document.getElementById("nobody").click();
  await wait(() => document.getElementById("user").value === ""
    && document.querySelector("#lists .bar"));
  await new Promise(go => setTimeout(go, 300));
  const before = lists();
  const search = document.getElementById("search");
  search.value = "hacked oak";
  search.dispatchEvent(new Event("input"));
  await wait(() => document.querySelectorAll("#found li").length === 1);
  const found = document.querySelector("#found li div").textContent;
  document.querySelector("#found button").click();
  await wait(() => document.querySelector("#history .mine") && document.querySelector(".why"));
  const seen = { before, after: lists(), found, hacked: typeof hacked, width: innerWidth,
    out: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    history: document.querySelector("#history .mine").textContent,
    effect: document.getElementById("effect").textContent };
  parent.document.body.textContent = "SEEN" + JSON.stringify(seen) + "NEES";
})();
"""


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """The service on a free port, and its page with a visitor at /visit."""
    service.add_items("electronics", [{"item_id": "hacked", "title": HOSTILE}])
    app = api.build(service, ["127.0.0.1"])
    _visited(app)
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_level="warning")
    listening = config.bind_socket()
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)


def _visited(app: FastAPI) -> None:
    page = api._page()[0].replace("</body>", f"<script>{VISIT}</script></body>")

    @app.get("/visit")
    def visit() -> HTMLResponse:
        return HTMLResponse(page)  # without the policy, which would not let a visitor's script run

    @app.get("/frame")
    def frame(width: int) -> HTMLResponse:  # a browser's own window is never as narrow as a phone
        return HTMLResponse(f'<iframe src="/visit" width="{width}" height="900" frameborder="0">')


@pytest.mark.skipif(not CHROMIUM, reason="NO BROWSER: install chromium to test the page")
@pytest.mark.parametrize("width", [1280, 390])
def test_a_click_changes_the_lists(address: str, width: int, tmp_path: Path) -> None:
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    look = ["--window-size=1400,1000", "--virtual-time-budget=20000", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *flags, *look, f"{address}/frame?width={width}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = re.search("SEEN(.*)NEES", done.stdout, re.DOTALL)
    assert found, done.stdout[-2000:] + done.stderr[-2000:]
    seen = json.loads(html.unescape(found[1]))
    assert seen["width"] == width
    assert seen["out"] == 0  # nothing sticks out
    assert [shown["name"] for shown in seen["after"]] == ["transferred", "scratch"]
    for before, after in zip(seen["before"], seen["after"], strict=True):
        assert len(before["items"]) == len(after["items"]) == 10
        assert before["items"] != after["items"]
        assert before["why"] == 0
    assert any(shown["why"] for shown in seen["after"])
    assert re.match(r"transferred: \d+ new, scratch: \d+ new", seen["effect"])
    # A title is text, whatever it says.
    assert seen["found"] == HOSTILE
    assert seen["history"].startswith(f"{HOSTILE} electronics")
    assert seen["hacked"] == "undefined"


def test_the_page_runs_its_own_script_and_no_other(service: Service) -> None:
    page, policy = api._page()
    assert page.count("<script") == 1
    assert not re.search(r"""(src|href)=["'](?!data:,)""", page)  # no network but the service's own
    assert "innerHTML" not in page
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}';", policy)
    assert "default-src 'none'" in policy
