"""A signed model is taken, and no other where a key is given."""

import subprocess

import pytest

from mtrec.files import write_sums
from mtrec.paths import Paths
from mtrec.serving import manifest, signature
from mtrec.serving.manifest import DamagedError
from mtrec.serving.signature import SignatureError


def keys(folder, name):
    """A pair of keys as openssl makes them; the reference is another implementation."""
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    run = ["openssl", "genpkey", "-algorithm", "ed25519", "-out", str(private)]
    subprocess.run(run, check=True, capture_output=True)
    run = ["openssl", "pkey", "-in", str(private), "-pubout", "-out", str(public)]
    subprocess.run(run, check=True, capture_output=True)
    return private, public


@pytest.fixture
def paths(tmp_path):
    found = Paths(tmp_path, "tiny")
    for folder in (found.trained, found.fusion):
        folder.mkdir(parents=True)
        (folder / "one.json").write_text("{}")
        write_sums(folder)
    return found


@pytest.fixture
def signed(paths, tmp_path, monkeypatch):
    private, public = keys(tmp_path, "ours")
    monkeypatch.setenv(signature.PUBLIC_KEY, str(public))
    manifest.seal(paths, private)
    return paths


def test_a_signed_model_is_taken_and_openssl_agrees_with_the_signature(signed, tmp_path):
    import base64

    assert manifest.check(signed).files.keys() == {"one.json"}
    file = manifest.manifest_path(signed)
    raw = tmp_path / "raw.sig"
    raw.write_bytes(base64.b64decode(signature.signature_path(file).read_bytes()))
    done = subprocess.run(
        ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", str(tmp_path / "ours.pub"),
         "-sigfile", str(raw), "-in", str(file)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert "Verified Successfully" in done.stdout, done.stderr


def test_a_model_that_another_signed_or_nobody_is_refused(signed, tmp_path):
    other, _ = keys(tmp_path, "other")
    manifest.seal(signed, other)
    with pytest.raises(SignatureError, match="is not the signature of tiny.manifest.json"):
        manifest.check(signed)
    signature.signature_path(manifest.manifest_path(signed)).unlink()
    with pytest.raises(SignatureError, match="there is no signature"):
        manifest.check(signed)


@pytest.mark.parametrize("folder", ["trained", "fusion"])
def test_a_folder_with_a_list_of_its_own_does_not_pass_for_the_signed_one(signed, folder):
    place = getattr(signed, folder)
    (place / "one.json").write_text('{"other": 1}')
    write_sums(place)
    with pytest.raises(DamagedError, match="is signed, but not for the files that are there"):
        manifest.check(signed)


def test_a_changed_manifest_or_signature_is_refused(signed):
    file = manifest.manifest_path(signed)
    signature.signature_path(file).write_text("no base64 at all, é", encoding="utf-8")
    with pytest.raises(SignatureError, match="is not the signature"):
        manifest.check(signed)


def test_without_a_key_nothing_must_be_signed(paths):
    manifest.seal(paths)
    assert manifest.check(paths).files


def test_what_is_no_key_is_named(paths, tmp_path, monkeypatch):
    file = tmp_path / "none.pem"
    file.write_text("nothing")
    with pytest.raises(SignatureError, match="no private Ed25519 key"):
        manifest.seal(paths, file)
    manifest.seal(paths)
    monkeypatch.setenv(signature.PUBLIC_KEY, str(tmp_path / "missing.pub"))
    with pytest.raises(SignatureError, match="no public Ed25519 key .*No such file"):
        manifest.check(paths)
