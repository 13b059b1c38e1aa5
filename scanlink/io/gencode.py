"""GENCODE annotations by release, kept in a cache and verified."""

from __future__ import annotations

import gzip
import logging
import os
import re
import zlib
from pathlib import Path

from scanlink.errors import OptionError, RunError
from scanlink.files import replace_file
from scanlink.io.opening import PathLikeStr

__all__ = ["fetch_gencode"]

log = logging.getLogger("scanlink")

_SERVER = "https://ftp.ebi.ac.uk/pub/databases/gencode"
_REGISTRY = "registry.txt"
_SECONDS_WITHOUT_ANSWER = 30


def fetch_gencode(
    release: int | str = 44,
    *,
    cache: PathLikeStr | None = None,
    base_url: str | None = None,
    known_hash: str | None = None,
) -> Path:
    """Download the basic gene annotation of a GENCODE release, once.

    Parameters
    ----------
    release
        Number of the release for human (44), with ``M`` before it for mouse (``"M32"``).
    cache
        Folder that keeps the file; ``None`` takes the environment variable ``SCANLINK_CACHE`` or, where that is not
        set, the user's cache folder.
    base_url
        Another server with the folders of ``https://ftp.ebi.ac.uk/pub/databases/gencode``.
    known_hash
        SHA-256 that the file must have. ``None`` trusts the first download, logs its SHA-256 and keeps it in
        ``registry.txt`` beside the file, so that every later use is verified against it.

    Returns
    -------
    Path of ``gencode.v44.basic.annotation.gtf.gz`` in the cache.

    Raises
    ------
    OptionError
        If the release is not a number, or ``M`` and a number.
    RunError
        If there is no network or no such release, the download was cut short, or the hash is another; says what to
        do. No partly written file is left behind.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fetch_gencode("v44.1", cache=folder)
    Traceback (most recent call last):
    scanlink.errors.OptionError: release 'v44.1': a number such as 44 (human) or M32 (mouse) was expected
    """
    import pooch

    name, url = _locate(release, base_url or _SERVER)
    folder = Path(cache or os.environ.get("SCANLINK_CACHE") or pooch.os_cache("scanlink")).expanduser()
    target = folder / name
    recorded = _read_registry(folder).get(name)
    wanted = (known_hash or recorded or "").lower().removeprefix("sha256:") or None
    if target.is_file() and wanted is not None:
        digest = pooch.file_hash(str(target))
        if digest == wanted:
            _record(folder, name, wanted)
            return target
        # A file in the cache is the user's: it may be the one that was fetched by hand, so it is never overwritten.
        raise RunError(
            f"{target}: the SHA-256 is {digest}, but {wanted} was expected "
            f"({'as given' if known_hash else f'as recorded in {folder / _REGISTRY}'}). If the file is damaged, remove "
            "it and fetch again; if it was replaced on purpose, remove its line in the registry"
        )
    if not target.is_file():
        _download(url, target, wanted)
    _refuse_truncated(target, url)
    digest = pooch.file_hash(str(target))
    if recorded is None and known_hash is None:
        log.info("%s: SHA-256 %s, recorded in %s; later uses are verified against it", name, digest, folder / _REGISTRY)
    _record(folder, name, digest)
    return target


def _locate(release: int | str, server: str) -> tuple[str, str]:
    text = str(release).strip().removeprefix("v")
    if not re.fullmatch(r"M?\d+", text):
        raise OptionError(f"release {str(release)!r}: a number such as 44 (human) or M32 (mouse) was expected")
    species = "mouse" if text.startswith("M") else "human"
    name = f"gencode.v{text}.basic.annotation.gtf.gz"
    return name, f"{server.rstrip('/')}/Gencode_{species}/release_{text}/{name}"


def _download(url: str, target: Path, wanted: str | None) -> None:
    """Download to a temporary file, which takes the name of the target only when it is complete."""
    import pooch
    import requests

    by_hand = (
        f"Or download it by hand, on a machine with network, and put it at {target} "
        "(SCANLINK_CACHE or cache= choose another folder)"
    )
    chatter = pooch.get_logger()
    level = chatter.level
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        log.info("downloading %s", url)
        # It would print to stderr, past what the caller made of logging, and advise a keyword that we have not.
        chatter.setLevel(logging.ERROR)
        pooch.retrieve(
            url,
            known_hash=None if wanted is None else f"sha256:{wanted}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(progressbar=False, timeout=_SECONDS_WITHOUT_ANSWER),
        )
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise RunError(
            f"{url}: the server answered {status}; is there such a release? They are listed at {_SERVER}. {by_hand}"
        ) from error
    except (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError) as error:
        raise RunError(f"{url}: the download was cut short ({error}); try again. {by_hand}") from error
    except requests.RequestException as error:
        raise RunError(f"{url}: no connection ({type(error).__name__}). Is there a network? {by_hand}") from error
    except ValueError as error:  # what pooch raises for a wrong hash
        digests = [digest for digest in re.findall(r"\b[0-9a-f]{64}\b", str(error)) if digest != wanted]
        raise RunError(
            f"{url}: the SHA-256 of the download is {digests[0] if digests else 'another'}, but {wanted} was "
            "expected; nothing was kept. Check the hash, or whether a proxy answered in place of the server"
        ) from error
    except OSError as error:
        raise RunError(
            f"{target.parent}: cannot be written ({error}); choose another folder by SCANLINK_CACHE"
        ) from error
    finally:
        chatter.setLevel(level)


def _refuse_truncated(target: Path, url: str) -> None:
    # A server that does not tell the length can stop early unnoticed, but the end of a gzip file carries its checksum.
    try:
        with gzip.open(target, "rb") as content:
            while content.read(1 << 22):
                pass
    except (EOFError, zlib.error, OSError) as error:
        target.unlink(missing_ok=True)
        raise RunError(
            f"{url}: what was downloaded is not a complete gzip file ({error}) and was removed; try again"
        ) from error


def _read_registry(folder: Path) -> dict[str, str]:
    file = folder / _REGISTRY
    if not file.is_file():
        return {}
    lines = (line.split() for line in file.read_text(encoding="utf-8").splitlines())
    return {fields[0]: fields[1] for fields in lines if len(fields) == 2}


def _record(folder: Path, name: str, digest: str) -> None:
    registry = _read_registry(folder)
    if registry.get(name) == digest:
        return
    registry[name] = digest
    lines = "".join(f"{key} {value}\n" for key, value in sorted(registry.items()))
    try:
        # Another process may be reading it.
        replace_file(folder / _REGISTRY, lambda temporary: temporary.write_text(lines, encoding="utf-8"))
    except RunError as error:
        log.warning("%s: the SHA-256 of %s cannot be recorded (%s)", folder, name, error.__cause__)
