"""A headless Chromium, told what to do over two pipes: nothing but the browser is needed.

Protocol: https://chromedevtools.github.io/devtools-protocol/, one JSON message after another,
divided by zero bytes (``--remote-debugging-pipe``).
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MISSING = (
    "no Chromium was found: install it (`apt-get install chromium`, or set MTREC_CHROMIUM to a "
    "browser), and the page is tested in it"
)
FLAGS = (
    "--headless=new", "--remote-debugging-pipe", "--no-first-run", "--disable-gpu",
    "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
    "--disable-component-update", "--mute-audio", "--hide-scrollbars",
)  # fmt: skip


def find_browser() -> str | None:
    """The browser's program; None if there is none."""
    return os.environ.get("MTREC_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One tab of a browser of its own.

    Args:
        program: of the browser.
        patience: seconds until an answer or a condition is given up.

    Attributes:
        complaints: errors and warnings of the console, and what was thrown.
    """

    def __init__(self, program: str, patience: float = 30.0):
        self._patience, self._number, self._rest = patience, 0, b""
        self.complaints: list[str] = []
        self._folder = tempfile.mkdtemp(prefix="mtrec-chromium-")
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        root = ("--no-sandbox",) if os.geteuid() == 0 else ()
        command = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "-", program, *FLAGS, *root,
             f"--user-data-dir={self._folder}", "about:blank"],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._session: str | None = None
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        found = self.tell("Target.attachToTarget", targetId=target, flatten=True)
        self._session = found["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.tell(f"{part}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()

    def close(self) -> None:
        """End the browser."""
        self._session = None
        with suppress(OSError, TimeoutError):
            self.tell("Browser.close")
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        os.close(self._out)
        os.close(self._in)
        shutil.rmtree(self._folder, ignore_errors=True)

    # -- the protocol ------------------------------------------------------------------------

    def tell(self, method: str, **what: Any) -> dict[str, Any]:
        """Send a command and wait for its answer.

        Raises:
            RuntimeError: the browser refused it.
            TimeoutError: no answer came.
        """
        self._number += 1
        message = {"id": self._number, "method": method, "params": what}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + self._patience
        while True:
            found = self._next(deadline)
            if found.get("id") == self._number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']['message']}")
                return found["result"]
            self._note(found)

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(self._in, 1 << 20) if ready else b""
            if not part:
                raise TimeoutError("the browser does not answer")
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def _note(self, event: dict[str, Any]) -> None:
        """Keep what the console says."""
        what = event.get("params", {})
        if event.get("method") == "Runtime.exceptionThrown":
            details = what["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", str(details)))
        elif event.get("method") == "Log.entryAdded":
            if what["entry"]["level"] in ("error", "warning"):
                self.complaints.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")
        elif event.get("method") == "Runtime.consoleAPICalled":
            if what["type"] in ("error", "warning", "assert"):
                self.complaints.append(str([one.get("value") for one in what["args"]]))
        elif event.get("method") == "Page.javascriptDialogOpening":
            self.complaints.append(f"a dialog: {what['message']}")

    # -- what a test does --------------------------------------------------------------------

    def size(self, width: int, height: int, dark: bool = False, phone: bool = False) -> None:
        """Set the size of the window, and whether its owner prefers dark pages."""
        self.tell("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=phone)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Go to a page, and wait until it is read."""
        self.tell("Page.navigate", url=address)
        self.wait(f"document.readyState === 'complete' && location.href === {json.dumps(address)}")

    def do(self, script: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        found = self.tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"].get("exception", {}).get("description"))
        return found["result"].get("value")

    def wait(self, condition: str) -> Any:
        """The value of an expression, as soon as it is true.

        Raises:
            TimeoutError: it never was.
        """
        deadline = time.monotonic() + self._patience
        while time.monotonic() < deadline:
            if found := self.do(condition):
                return found
            time.sleep(0.02)
        raise TimeoutError(f"never true: {condition}; console: {self.complaints}")

    def type(self, text: str) -> None:
        """Type into what has the focus."""
        self.tell("Input.insertText", text=text)

    def press(self, key: str, code: int, text: str = "", modifiers: int = 0) -> None:
        """Press a key and let it go."""
        own = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        self.tell(
            "Input.dispatchKeyEvent", type="keyDown", **own, **({"text": text} if text else {})
        )
        self.tell("Input.dispatchKeyEvent", type="keyUp", **own)

    def tab(self) -> None:
        """Move the focus to the next."""
        self.press("Tab", 9)

    def enter(self) -> None:
        """Press the enter key."""
        self.press("Enter", 13, "\r")

    def down(self) -> None:
        """Press the arrow down."""
        self.press("ArrowDown", 40)

    def picture(self, file: Path, whole: bool = True) -> None:
        """Write the page as PNG."""
        found = self.tell("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(found["data"]))
