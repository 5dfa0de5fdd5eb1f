"""A frontend of another origin asks the service from a real browser, by CORS."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.kit.service import Service, StartService
from tests.kit.settings import make_token

ASK = """
async ([url, token, etag]) => {
  const headers = {Authorization: `Bearer ${token}`};
  if (etag) headers["If-None-Match"] = etag;
  try {
    const answer = await fetch(url, {headers, cache: "no-store"});
    return [answer.status, answer.headers.get("etag"), answer.status === 200 ? (await answer.json()).state : null];
  } catch (error) {
    return ["refused", null, null];
  }
}
"""


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[str]:
    """The origin of a frontend: a page of its own on another port."""
    (tmp_path / "site" / "app").mkdir(parents=True)
    (tmp_path / "site" / "app" / "index.html").write_text("<!doctype html><title>Shop</title>", "utf-8")
    handler = functools.partial(Quiet, directory=str(tmp_path / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def test_a_frontend_of_another_origin(window: Browser, frontend: str, start_service: StartService) -> None:
    """APP_URL's origin may ask by default, with a token and an ETag; with CORS_ORIGINS of others it may not."""
    service = start_service(APP_URL=f"{frontend}/app")
    page = window.new_page()
    page.goto(f"{frontend}/app/")
    for path in ("/subscription", "/subscription/history?limit=1"):  # at the front, and behind it
        status, etag, state = page.evaluate(ASK, [service.url + path, make_token(), None])
        assert status == 200
        if path == "/subscription":
            assert (etag, state) == ('"0"', "none")
            assert page.evaluate(ASK, [service.url + path, make_token(), etag])[0] == 304
    assert page.evaluate(ASK, [f"{service.url}/subscription", "wrong", None])[0] == 401
    service.stop()
    others = start_service(APP_URL=f"{frontend}/app", CORS_ORIGINS="https://other.example")
    assert page.evaluate(ASK, [f"{others.url}/subscription", make_token(), None])[0] == "refused"
    page.close()


def test_what_is_said_to_which_origin(start_service: StartService) -> None:
    """A preflight names methods and headers; a stranger's origin, and no origin at all, get no such header."""
    service: Service = start_service(CORS_ORIGINS="https://a.example,https://b.example")
    asked = {"Origin": "https://b.example", "Access-Control-Request-Method": "POST"}
    preflight = service.request("OPTIONS", "/checkout", headers=asked)
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "https://b.example"
    assert "authorization" in preflight.headers["access-control-allow-headers"]
    assert preflight.headers["x-content-type-options"] == "nosniff"
    for headers in ({"Origin": "https://c.example"}, {"Origin": "null"}, {}):
        answer = service.request("GET", "/plans", headers=headers)
        assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (200, False)
    refused = service.request("GET", "/subscription", headers={"Origin": "https://a.example"})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, "https://a.example")
