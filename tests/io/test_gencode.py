"""Downloads, from a server on this machine; nothing here needs a network."""

from __future__ import annotations

import gzip
import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import scanlink as sl
from scanlink.errors import OptionError, RunError

GTF = gzip.compress(
    b'chr1\tHAVANA\tgene\t11869\t14409\t.\t+\t.\tgene_id "ENSG00000290825.1"; gene_name "DDX11L2";\n' * 50
)
DIGEST = hashlib.sha256(GTF).hexdigest()
NAME = "gencode.v44.basic.annotation.gtf.gz"


class Handler(BaseHTTPRequestHandler):
    """Knows human 44 and mouse M32 and, for tests of faults, 45 cut short, 46 cut short unsaid, 47 no gzip at all."""

    requests: list[str]

    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        release = self.path.split("/")[-2].removeprefix("release_")
        folder = "Gencode_mouse" if release.startswith("M") else "Gencode_human"
        if self.path != f"/{folder}/release_{release}/gencode.v{release}.basic.annotation.gtf.gz" or release == "404":
            self.send_error(404)
            return
        self.send_response(200)
        if release != "46":
            self.send_header("Content-Length", str(len(GTF)))
        self.end_headers()
        body = {"45": GTF[:-30], "46": GTF[:-30], "47": b"<html>please log in</html>".ljust(len(GTF))}.get(release, GTF)
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    http = HTTPServer(("127.0.0.1", 0), Handler)
    http.requests = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield http
    http.shutdown()
    thread.join()
    http.server_close()


def url(server: HTTPServer) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_fetch_gencode__downloads_once_and_records_the_hash(server, tmp_path: Path, caplog, capfd) -> None:
    with caplog.at_level(logging.INFO, logger="scanlink"):
        path = sl.io.fetch_gencode(44, cache=tmp_path, base_url=url(server))
    assert path == tmp_path / NAME
    assert path.read_bytes() == GTF
    assert DIGEST in caplog.text
    assert (tmp_path / "registry.txt").read_text() == f"{NAME} {DIGEST}\n"
    assert sl.io.fetch_gencode("v44", cache=tmp_path, base_url=url(server)) == path
    assert len(server.requests) == 1
    assert names(tmp_path) == [NAME, "registry.txt"]
    assert len(sl.io.read_genes(path)) == 50
    assert capfd.readouterr() == ("", "")


def test_fetch_gencode__mouse_and_folder_from_environment(server, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SCANLINK_CACHE", str(tmp_path / "cache"))
    path = sl.io.fetch_gencode("M32", base_url=url(server) + "/")
    assert path == tmp_path / "cache" / "gencode.vM32.basic.annotation.gtf.gz"


def test_fetch_gencode__wrong_hash_names_both_and_keeps_nothing(server, tmp_path: Path) -> None:
    wrong = "0" * 64
    with pytest.raises(RunError, match=rf"is {DIGEST}, but {wrong} was expected"):
        sl.io.fetch_gencode(44, cache=tmp_path, base_url=url(server), known_hash=wrong)
    assert names(tmp_path) == []
    for given in (DIGEST, DIGEST.upper(), f"sha256:{DIGEST}"):
        assert sl.io.fetch_gencode(44, cache=tmp_path, base_url=url(server), known_hash=given).is_file()


def test_fetch_gencode__changed_file_is_refused_and_kept(server, tmp_path: Path) -> None:
    path = sl.io.fetch_gencode(44, cache=tmp_path, base_url=url(server))
    path.write_bytes(GTF + b"x")
    with pytest.raises(RunError, match=rf"{DIGEST} was expected \(as recorded in .*registry.txt\)"):
        sl.io.fetch_gencode(44, cache=tmp_path, base_url=url(server))
    assert path.read_bytes() == GTF + b"x"


def test_fetch_gencode__takes_a_file_that_was_put_there_by_hand(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(GTF)
    assert sl.io.fetch_gencode(44, cache=tmp_path, base_url="http://127.0.0.1:1") == tmp_path / NAME
    assert DIGEST in (tmp_path / "registry.txt").read_text()


@pytest.mark.parametrize(
    ("release", "message"),
    [
        (404, r"the server answered 404; is there such a release\?"),
        (45, "the download was cut short"),
        (46, "not a complete gzip file"),
        (47, "not a complete gzip file"),
    ],
)
def test_fetch_gencode__faults_leave_nothing_behind(server, tmp_path: Path, release: int, message: str) -> None:
    with pytest.raises(RunError, match=message):
        sl.io.fetch_gencode(release, cache=tmp_path, base_url=url(server))
    assert names(tmp_path) == []


def test_fetch_gencode__without_network_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=rf"no connection .*download it by hand.* put it at {tmp_path / NAME}"):
        sl.io.fetch_gencode(44, cache=tmp_path, base_url="http://127.0.0.1:1")
    assert names(tmp_path) == []


def test_fetch_gencode__cache_that_cannot_be_written(server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        sl.io.fetch_gencode(44, cache=tmp_path / "file", base_url=url(server))


@pytest.mark.parametrize("release", ["latest", "44.1", "X3", ""])
def test_fetch_gencode__refuses_what_is_no_release(release: str) -> None:
    with pytest.raises(OptionError, match="a number such as 44"):
        sl.io.fetch_gencode(release)
