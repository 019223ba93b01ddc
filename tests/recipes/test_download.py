"""Downloads, from a server on this machine that can cut connections, ignore ranges and fail."""

import hashlib
import http.server
import io
import re
import stat
import tarfile
import threading
import zipfile

import pytest

from m4ser.recipes.download import Archive, extract, fetch, fetch_archives, fill_lfs_pointers, is_lfs_pointer
from m4ser.utils.errors import UserError


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        server.requests.append((self.path, self.headers.get("Range")))
        if server.failures:
            self.send_error(server.failures.pop(0))
            return
        content = server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        start = 0
        if server.ranges and (byte_range := self.headers.get("Range")):
            start = int(re.fullmatch(r"bytes=(\d+)-", byte_range)[1])
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : server.cuts.pop(0) if server.cuts else None])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.files, running.requests, running.cuts, running.failures, running.ranges = {}, [], [], [], True
        running.url = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


CONTENT = bytes(range(256)) * 20
MD5 = f"md5:{hashlib.md5(CONTENT).hexdigest()}"


def zipped(members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, value in members.items():
            file.writestr(name, value)
    return content.getvalue()


def test_a_cut_download_continues_where_it_was_cut(server, tmp_path):
    server.files["/a.bin"], server.cuts = CONTENT, [1000, 1500]
    fetch(f"{server.url}/a.bin", tmp_path / "new" / "a.bin", MD5, waits=(0, 0))
    assert (tmp_path / "new" / "a.bin").read_bytes() == CONTENT
    assert [asked for _, asked in server.requests] == [None, "bytes=1000-", "bytes=1500-"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_a_later_run_continues_too_and_a_whole_file_is_not_fetched_again(server, tmp_path):
    server.files["/a.bin"], server.cuts = CONTENT, [1000]
    with pytest.raises(UserError, match="the connection was cut; run the same command again to continue"):
        fetch(f"{server.url}/a.bin", tmp_path / "a.bin", MD5, waits=())
    assert not (tmp_path / "a.bin").exists()
    fetch(f"{server.url}/a.bin", tmp_path / "a.bin", MD5, waits=())
    fetch(f"{server.url}/a.bin", tmp_path / "a.bin", MD5, waits=())
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert len(server.requests) == 2
    (tmp_path / "a.bin").rename(tmp_path / "a.bin.part")  # killed between the last byte and the check
    fetch(f"{server.url}/a.bin", tmp_path / "a.bin", MD5, waits=())
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_server_without_ranges_starts_again(server, tmp_path):
    server.files["/a.bin"], server.ranges = CONTENT, False
    (tmp_path / "a.bin.part").write_bytes(CONTENT[:70])
    fetch(f"{server.url}/a.bin", tmp_path / "a.bin", MD5)
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


def test_leftovers_of_a_longer_file_are_dropped(server, tmp_path):
    server.files["/a.bin"] = CONTENT
    (tmp_path / "a.bin.part").write_bytes(CONTENT + b"more")
    fetch(f"{server.url}/a.bin", tmp_path / "a.bin", MD5, waits=(0,))
    assert (tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_wrong_checksum(server, tmp_path, kind):
    server.files["/a.bin"] = CONTENT
    have = hashlib.new(kind, CONTENT).hexdigest()
    with pytest.raises(UserError, match=f"a.bin: {kind} is {have} instead of 0123; "):
        fetch(f"{server.url}/a.bin", tmp_path / "a.bin", f"{kind}:0123")
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_server(server, tmp_path):
    with pytest.raises(UserError, match=r"/gone: HTTP status 404 \(Not Found\); download it by hand"):
        fetch(f"{server.url}/gone", tmp_path / "gone", waits=(0,))
    assert len(server.requests) == 1  # not tried again
    server.files["/busy"], server.failures = CONTENT, [503, 429]
    fetch(f"{server.url}/busy", tmp_path / "busy", waits=(0, 0))
    server.failures = [503]
    with pytest.raises(UserError, match="HTTP status 503"):
        fetch(f"{server.url}/x", tmp_path / "x", waits=())
    with pytest.raises(UserError, match="refused"):
        fetch("http://127.0.0.1:9/a", tmp_path / "x", waits=())


def test_archives_are_fetched_once(server, tmp_path):
    server.files["/b/some%20corpus.zip"] = zipped({"A/1.wav": b"one", "A/2.wav": b"two", "B/x.mp4": b"no"})
    archive = Archive(f"{server.url}/b/some%20corpus.zip?download=1", only=r"A/")
    server.files["/b/some%20corpus.zip?download=1"] = server.files["/b/some%20corpus.zip"]
    for _ in range(2):
        fetch_archives(tmp_path, [archive])
    assert len(server.requests) == 1
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("[!.]*") if path.is_file()} == {
        "A/1.wav",
        "A/2.wav",
    }


def test_extracting_replaces_and_skips_folders(tmp_path):
    (tmp_path / "A").mkdir()
    (tmp_path / "A" / "old").write_text("old")
    (tmp_path / "x.zip").write_bytes(zipped({"A/": b"", "A/new": b"new"}))
    extract(tmp_path / "x.zip", tmp_path)
    assert [path.name for path in (tmp_path / "A").iterdir()] == ["new"]


@pytest.mark.parametrize("name", ["../evil", "A/../../evil", "/tmp/evil", "..\\evil", "C:\\evil"])
def test_members_outside_are_refused(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "x.zip").write_bytes(zipped({"good": b"good", name: b"evil"}))
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    for archive in ("x.zip", "x.tar.gz"):
        with pytest.raises(UserError, match="would be written outside of the folder; not extracted"):
            extract(tmp_path / archive, folder)
    assert list(folder.iterdir()) == []
    assert not (tmp_path / "evil").exists()


def test_links_are_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo("link")
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    (tmp_path / "x.zip").write_bytes(zipped({link: "/etc/passwd"}))
    for archive in ("x.tar", "x.zip"):
        with pytest.raises(UserError, match="'link' is a link or device"):
            extract(tmp_path / archive, tmp_path)


def test_damaged_archives(tmp_path, monkeypatch):
    whole = bytearray(zipped({"A/long": CONTENT}))
    whole[100] ^= 1  # the CRC of the member finds it
    with io.BytesIO() as packed:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("A/long", CONTENT)
        deflated = bytearray(packed.getvalue())
    deflated[36] = 0xFF  # first byte of the member's data: no such kind of block
    for name, content in {
        "bad.zip": bytes(whole),
        "deflate.zip": bytes(deflated),
        "no.zip": b"not an archive",
        "cut.zip": bytes(whole[:3000]),
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=f"{name}: cannot be extracted"):
            extract(tmp_path / name, tmp_path)
    (tmp_path / "other.zip").write_bytes(zipped({"B/x": b""}))
    with pytest.raises(UserError, match="has none of the expected files"):
        extract(tmp_path / "other.zip", tmp_path, only="A/")
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("usage", (), {"free": -1}))
    with pytest.raises(UserError, match="free some space"):
        extract(tmp_path / "other.zip", tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".zip"}


def test_git_lfs_pointers_are_filled(server, tmp_path):
    def pointer(content):
        digest = hashlib.sha256(content).hexdigest()
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"

    contents = {f"{number}.wav": CONTENT[number:] for number in range(5)}
    for name, content in contents.items():
        (tmp_path / name).write_text(pointer(content))
        server.files[f"/media/{name}"] = content
    (tmp_path / "there.wav").write_bytes(CONTENT)
    assert is_lfs_pointer(tmp_path / "3.wav") and not is_lfs_pointer(tmp_path / "there.wav")
    server.files["/media/3.wav"] = b"another file"
    with pytest.raises(UserError, match=r"3\.wav: sha256 is"):
        fill_lfs_pointers(tmp_path, f"{server.url}/media", jobs=1)
    assert is_lfs_pointer(tmp_path / "3.wav")
    server.files["/media/3.wav"] = contents["3.wav"]
    fill_lfs_pointers(tmp_path, f"{server.url}/media")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {**contents, "there.wav": CONTENT}
