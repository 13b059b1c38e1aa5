"""Headless Chromium to look at the report, by its DevTools protocol.

Tornado, which Dask needs anyway, speaks the protocol's web socket: nothing else has to be installed than Chromium.
"""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tornado.websocket import WebSocketClientConnection, websocket_connect

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
    "--hide-scrollbars",
)
LAPTOP, PHONE = (1366, 768), (390, 844)
KEYS = {"Enter": (13, "\r"), "Tab": (9, ""), " ": (32, " ")}


class Page:
    """One page in the browser: what it asked of the network, what it said on the console, and hands to work it."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._number = 0
        self.events: list[dict[str, Any]] = []
        self._socket: WebSocketClientConnection = self._loop.run_until_complete(self._connect(url))
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    async def _connect(self, url: str) -> WebSocketClientConnection:
        return await websocket_connect(url, max_message_size=2**28)

    async def _send(self, message: dict[str, Any]) -> None:
        await self._socket.write_message(json.dumps(message))

    async def _receive(self) -> str | bytes | None:
        return await asyncio.wait_for(self._socket.read_message(), 60)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call the browser, and keep the events that come meanwhile."""
        self._number += 1
        self._loop.run_until_complete(self._send({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = self._next()
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]

    def _next(self) -> dict[str, Any]:
        text = self._loop.run_until_complete(self._receive())
        assert text is not None, "Chromium has closed the page"
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, path: Path, size: tuple[int, int], *, dark: bool = False) -> None:
        """Load a file into a window of ``size`` pixels, and wait until it is loaded."""
        width, height = size
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = "dark" if dark else "light"
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def do(self, script: str) -> Any:
        """Value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def click(self, selector: str) -> None:
        """Click in the middle of an element, as a mouse does."""
        middle = "e.scrollIntoView({block: 'center'}); const b = e.getBoundingClientRect();"
        place = self.do(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); {middle}"
            "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def write(self, text: str) -> None:
        """Type into what has the focus."""
        self.call("Input.insertText", text=text)

    def press(self, key: str) -> None:
        """Press a key."""
        code, text = KEYS[key]
        common = {"key": key, "windowsVirtualKeyCode": code, "code": "Space" if key == " " else key}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **common)
        self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Keep a picture of the window, or of the whole page."""
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))

    @property
    def complaints(self) -> list[str]:
        """Errors and warnings on the console, and exceptions."""
        found = []
        for event in self.events:
            told = event["params"]
            if event["method"] == "Runtime.exceptionThrown":
                found.append(str(told["exceptionDetails"]))
            elif event["method"] == "Runtime.consoleAPICalled" and told["type"] in ("error", "warning", "assert"):
                found.append(str(told["args"]))
            elif event["method"] == "Log.entryAdded" and told["entry"]["level"] in ("error", "warning"):
                found.append(told["entry"]["text"])
        return found

    @property
    def requests(self) -> list[str]:
        """What the page asked for beyond itself and the pictures that it holds."""
        urls = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in urls[1:] if not url.startswith("data:")]

    def close(self) -> None:
        self._loop.run_until_complete(self._end())
        self._loop.close()

    async def _end(self) -> None:
        self._socket.close()
        await asyncio.sleep(0.1)


@pytest.fixture(scope="session")
def page() -> Iterator[Page]:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            made = Page(_address(Path(profile) / "DevToolsActivePort", browser))
            yield made
            made.close()
        finally:
            browser.terminate()
            browser.wait(timeout=30)


def _address(file: Path, browser: subprocess.Popen[bytes]) -> str:
    import urllib.request

    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert browser.poll() is None, f"Chromium ended at once, with code {browser.returncode}"
        if file.is_file() and file.read_text().count("\n"):
            port = int(file.read_text().split()[0])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
                pages = [entry for entry in json.load(answer) if entry["type"] == "page"]
            if pages:
                return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("Chromium has not opened a page within a minute")
