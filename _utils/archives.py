"""Code from an archive: fetched, compared with its hash, and only then unpacked."""

import hashlib
import http.client
import lzma
import shutil
import tarfile
import urllib.parse
import urllib.request
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from salt.exceptions import CommandExecutionError

import command
import repository
import staging

# Seconds without a single byte, after which the server is taken for dead.
SILENCE = 60

BROKEN = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError)


def download(url, wanted, folder):
    """
    The file in ``folder`` that holds the archive, whose SHA-256 is ``wanted`` (64 hex digits).

    ``url`` is http, https or file, or an absolute path. Raises CommandExecutionError if the archive cannot be had, or
    is another one.
    """
    archive = staging.make_folder(folder) / wanted
    if not archive.exists():
        part = staging.temporary(archive)
        _copy(url, part)
        part.replace(archive)
    found = _hash(archive)
    if found != wanted:
        archive.unlink()
        raise CommandExecutionError(f"{command.mask(url)}: its SHA-256 is {found}, not {wanted} as the pillar says")
    return archive


def unpack(archive, folder):
    """Make ``folder`` of what is in a tar or zip archive, without the single folder that many archives have on top."""
    box = folder.with_name(f"{folder.name}.box")
    box.mkdir()
    try:
        # Not the other way round: a tar that ends with a wheel in it looks like a zip.
        _untar(archive, box) if tarfile.is_tarfile(archive) else _unzip(archive, box)
    except BROKEN as error:
        raise CommandExecutionError(f"the archive {archive} cannot be unpacked: {error}") from error
    entries = list(box.iterdir())
    alone = len(entries) == 1 and entries[0].is_dir() and not entries[0].is_symlink()
    (entries[0] if alone else box).rename(folder)
    staging.remove(box)


def _copy(url, target):
    url, authorization = repository.without_credentials(Path(url).as_uri() if url.startswith("/") else url)
    if urllib.parse.urlsplit(url).scheme not in ("http", "https", "file"):
        raise CommandExecutionError(f"{url}: an archive comes from http, https, file or an absolute path")
    request = urllib.request.Request(url)
    if authorization:
        request.add_unredirected_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=SILENCE) as answer, open(target, "wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise CommandExecutionError(f"{url} was not fetched: {error}") from error


def _hash(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _untar(archive, folder):
    if not hasattr(tarfile, "data_filter"):
        raise CommandExecutionError("Salt's Python is too old to unpack an archive safely: it takes 3.10.12 or 3.11.4")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def _unzip(archive, folder):
    with zipfile.ZipFile(archive) as file:
        for member in file.infolist():
            path = PurePosixPath(member.filename)
            if path.is_absolute() or ".." in path.parts:
                raise zipfile.BadZipFile(f"{member.filename!r} leads outside")
            extracted = Path(file.extract(member, folder))
            # A zip file keeps the mode of a file in the upper half of this number, and zipfile leaves it there.
            if member.external_attr >> 16 & 0o111 and extracted.is_file():
                extracted.chmod(0o755)
