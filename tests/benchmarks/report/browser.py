"""Headless Chromium over the DevTools protocol, on a pair of pipes; no port, no other package."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = "chromium"
_PATIENCE_S = 90.0


class BrowserSilent(AssertionError):
    """The browser closed its end, or said nothing for as long as we wait."""


class Browser:
    """One page of a browser, and everything that it complained about or asked the network for."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._waiting, self._number, self._session = b"", 0, ""
        self.complaints: list[str] = []
        self.requests: list[str] = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def open(self, path: Path) -> None:
        """Load a file and wait until everything in it is."""
        self._loaded = False
        self.ask("Page.navigate", url=path.resolve().as_uri())
        end = time.monotonic() + _PATIENCE_S
        while not self._loaded and time.monotonic() < end:
            self._take(self._message(end))

    def value(self, expression: str) -> Any:
        """What a JavaScript expression gives, as JSON; promises are waited for."""
        answer = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def emulate(self, width: int, *, scheme: str = "light", motion: str = "no-preference") -> None:
        """A screen of *width* CSS pixels, with the preferences of its user."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.ask(
            "Emulation.setEmulatedMedia",
            media="",
            features=[
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": motion},
            ],
        )

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def print(self, path: Path) -> None:
        """The page as PDF, as it would come out of a printer."""
        answer = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=False)
        path.write_bytes(base64.b64decode(answer["data"]))

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One request and its answer; events that come in between are noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + _PATIENCE_S
        while True:
            answer = self._message(end)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
            self._take(answer)

    def _message(self, end: float) -> dict[str, Any]:
        while b"\0" not in self._waiting:
            ready, _, _ = select.select([self._receive], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._receive, 1 << 20) if ready else b""
            if not part:
                raise BrowserSilent("the browser does not answer")
            self._waiting += part
        first, self._waiting = self._waiting.split(b"\0", 1)
        message: dict[str, Any] = json.loads(first)
        return message

    def _take(self, event: Mapping[str, Any]) -> None:
        method, values = event.get("method"), event.get("params", {})
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Log.entryAdded":
            self.complaints.append(values["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(values["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning"):
            self.complaints.append(json.dumps(values["args"]))
        elif method == "Network.requestWillBeSent":
            self.requests.append(values["request"]["url"][:200])


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with a profile of its own, ended with all its processes."""
    program = shutil.which(CHROMIUM)
    assert program is not None
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()

    def arrange() -> None:
        # The protocol's pipes are file descriptors 3 and 4. Either may be one of ours already, so
        # both are first copied to numbers that nothing has.
        requests = fcntl.fcntl(to_browser, fcntl.F_DUPFD, 5)
        answers = fcntl.fcntl(from_browser, fcntl.F_DUPFD, 5)
        os.dup2(requests, 3)
        os.dup2(answers, 4)

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        tempfile.TemporaryFile() as said,
    ):
        process = subprocess.Popen(
            [
                program,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--no-first-run",
                f"--user-data-dir={profile}",
                "--remote-debugging-pipe",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            pass_fds=(3, 4, to_browser, from_browser),
            preexec_fn=arrange,
            start_new_session=True,
        )
        os.close(to_browser)
        os.close(from_browser)
        try:
            yield Browser(ours, theirs)
        except BrowserSilent as silent:
            said.seek(0)
            words = said.read().decode(errors="replace")[-2000:]
            silent.add_note(f"exit status {process.poll()}; the browser said: {words}")
            raise
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            os.close(ours)
            os.close(theirs)
