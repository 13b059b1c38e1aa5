"""A real run folder to report on, and headless Chromium to look at the report, by its DevTools protocol.

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

import numpy as np
import pandas as pd
import pytest
from scipy.special import ndtr
from tornado.websocket import WebSocketClientConnection, websocket_connect

import scanlink as sl
from scanlink.pipeline import config
from scanlink.stats import adjust

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


# A lenient rate of the links that are paired, so that there are pairs in several groups.
RUN = """\
input: data/multiome.h5mu
genes: data/genes.gtf.gz
groups: {by: celltype}
scan: {formula: "log(nUMI) + percent.mito", p_value: robust, seed: 5}
epistasis: {p_value: robust, links_fdr: 0.5, seed: 7}
report: false
cluster: none
"""


def _second_schema(folder: Path) -> None:
    """Give a run folder the record and the joint table that the report reads, as long as the pipeline does not."""
    path = folder / "provenance.json"
    record = json.loads(path.read_text())
    if record["schema"] > 1:
        return
    later = record.get("epistasis", {})
    if "screen" in record["options"]:
        blocks = {name: {"all": counts} for name, counts in record["blocks"].items()}
    else:
        blocks = {"scan": {"all": record["blocks"]}, "epistasis": later.get("groups", {})}
    record |= {"schema": 2, "blocks": blocks, "not_followed": {"epistasis": later.get("not_followed", {})}}
    path.write_text(json.dumps(record))
    if record["options"].get("links") and "screen" in record["options"]:
        screen, guides = (pd.read_parquet(folder / f"{name}.parquet") for name in ("screen", "guides"))
        joint = sl.tl.screen_links(screen, sl.io.read_links(record["options"]["links"]), guides)
        joint.to_parquet(folder / "screen_links.parquet", index=False)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished run with enhancer pairs; tests copy it before they change it."""
    from scanlink.pipeline import run as pipeline

    folder = tmp_path_factory.mktemp("report")
    sl.ds.simulate(n_cells=1_200, n_genes=40, n_peaks=200, n_links=50, n_interactions=6, seed=3).write(folder / "data")
    (folder / "run.yaml").write_text(RUN)
    pipeline.run(config.load_run(folder / "run.yaml"), folder / "out")
    _second_schema(folder / "out")
    return folder / "out"


def copied(finished: Path, folder: Path) -> Path:
    """What the report reads of a run."""
    return Path(shutil.copytree(finished, folder, ignore=shutil.ignore_patterns("store", "parts", "logs", ".*")))


@pytest.fixture
def folder(finished, tmp_path) -> Path:
    """A copy of the finished run, without store and parts."""
    return copied(finished, tmp_path / "my run")


SCREEN = """\
input: data/screen.h5mu
genes: data/genes.bed
screen: {formula: "prep_batch + offset(log(nUMI))", n_controls: 60, seed: 3}
interactions: {formula: "prep_batch + offset(log(nUMI))", n_controls: 30, seed: 4}
links: data/links.parquet
report: false
cluster: none
"""


@pytest.fixture(scope="session")
def finished_screen(tmp_path_factory) -> Path:
    """A finished run of a simulated screen with positive controls, interactions, and links that show what is true."""
    from scanlink.io.opening import quiet
    from scanlink.pipeline.screen_pipeline import run_screen

    folder = tmp_path_factory.mktemp("screen_report")
    (folder / "data").mkdir()
    data = sl.tl.simulate_screen(
        n_cells=2_000, n_genes=10, n_targets=30, guides_per_cell=8.0, n_non_targeting=8, effect=(-0.5, 0.4), seed=2
    )
    with quiet():
        data.mdata.write(folder / "data" / "screen.h5mu")
    data.genes[["chrom", "start", "end", "gene"]].assign(score=0, strand=data.genes["strand"]).to_csv(
        folder / "data" / "genes.bed", sep="\t", header=False, index=False
    )
    guides = data.mdata["guide"].var
    place = guides.dropna(subset=["chrom"]).drop_duplicates("target").set_index("target")
    own = place.loc[data.pairs["target"]]
    rng = np.random.default_rng(0)
    links = pd.concat(
        data.pairs[["gene"]].assign(
            group=group,
            distance=100,
            se=0.1,
            se_robust=0.1,
            status="ok",
            peak=[f"{row.chrom}:{int(row.start) - 50}-{int(row.end) + 50}" for row in own.itertuples()],
            beta=-0.5 * data.pairs["beta"] + rng.normal(0, 0.1, len(data.pairs)),
        )
        for group in ("K562", "B cells")
    )
    links["p"] = links["p_value"] = 2 * ndtr(-np.abs(links["beta"] / 0.1))
    links["fdr"] = links.groupby("group")["p"].transform(adjust)
    links.to_parquet(folder / "data" / "links.parquet", index=False)
    (folder / "run.yaml").write_text(SCREEN)
    run_screen(config.load_any(folder / "run.yaml"), folder / "out")
    _second_schema(folder / "out")
    return folder / "out"


@pytest.fixture
def screen_folder(finished_screen, tmp_path) -> Path:
    """A copy of the finished screen, without store and parts."""
    return copied(finished_screen, tmp_path / "my screen")
