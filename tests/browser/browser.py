"""Chromium, driven through driver.mjs, and how a person uses the wallet page in it."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SOURCES = Path(__file__).parent
REQUIRED_VARIABLE = "CARLIVE_REQUIRE_CHROMIUM"
"""Set by .ci/run: a test that misses Chromium fails."""
PATH_VARIABLE = "CARLIVE_CHROMIUM"
NAMES = ("chromium", "chromium-browser", "google-chrome")
PASSWORD = "correct horse 电池"
CLOSE_TIMEOUT_S = 15


def find_chromium() -> str:
    """Where it is; skips where it is not installed and not required."""
    named = os.environ.get(PATH_VARIABLE)
    found = named if named and Path(named).exists() else next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        reason = f"Chromium is not installed (on Debian: apt-get install chromium; elsewhere set {PATH_VARIABLE})"
        if os.environ.get(REQUIRED_VARIABLE):
            pytest.fail(reason)
        pytest.skip(reason)  # a machine of a newcomer; .ci/run sets the variable, and there it fails instead
    return found


class Driver:
    """The process that holds the browser."""

    def __init__(self, node: str, directory: Path, chromium: str, profiles: Path) -> None:
        self._process = subprocess.Popen(
            [node, "driver.mjs"],
            cwd=directory,
            env=os.environ | {"CHROMIUM": chromium, "PROFILES": str(profiles)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, action: str, **fields: Any) -> Any:
        """Do one thing; fails the test with what the browser says when it cannot be done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": action, **fields}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "problem" in answer:
            pytest.fail(f"{action} {fields}: {answer['problem']}")
        return answer["result"]

    def close(self) -> None:
        """End the browser and its driver."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(CLOSE_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True)
class WalletPage:
    """The wallet page in a browser profile of its own."""

    driver: Driver
    name: str

    def run(self, action: str, selector: str | None = None, text: str | None = None, **fields: Any) -> Any:
        named = {"selector": selector, "text": text}
        return self.driver.run(
            action, page=self.name, **{name: value for name, value in named.items() if value is not None}, **fields
        )

    def open(self, url: str) -> "WalletPage":
        self.driver.run("open", page=self.name, url=url)
        return self

    def fill(self, selector: str, text: str) -> None:
        self.run("fill", selector, text)

    def click(self, selector: str) -> None:
        self.run("click", selector)

    def read(self, selector: str) -> str:
        return str(self.run("text", selector))

    def wait(self, selector: str, text: str | None = None) -> None:
        self.run("wait", selector, text)

    def type_phrase(self, phrase: str) -> None:
        """Fill in the form and send it off."""
        self.fill("#restore-phrase", phrase)
        self.fill("#restore-password", PASSWORD)
        self.fill("#restore-repeated", PASSWORD)
        self.click("#restore-button")

    def restore(self, phrase: str) -> str:
        """Open a wallet from its phrase; the address that it shows."""
        self.type_phrase(phrase)
        self.wait("#view-wallet")
        return self.read("#address")

    def unlock(self, password: str) -> None:
        self.fill("#unlock-password", password)
        self.click("#unlock-button")

    def show(self, section: str) -> None:
        self.click(f"#tab-{section}")

    def start_sending(self, recipient: str, amount: str) -> None:
        """With the keyboard, to the review."""
        self.show("money")
        self.fill("#recipient", recipient)
        self.fill("#amount", amount)
        self.run("press", text="Enter")

    def read_review(self) -> dict[str, str]:
        """What the page says before a signature, by label."""
        self.wait("#review[open]")
        labels, values = self.run("texts", "#review-rows dt"), self.run("texts", "#review-rows dd")
        title = {"title": self.read("#review-title"), "doc": self.read("#review-doc")}
        return title | dict(zip(labels, values, strict=True)) | {"hash": self.read("#review-hash")}

    def sign(self) -> dict[str, str]:
        """Read and agree; what was read."""
        review = self.read_review()
        self.click("#review-sign")
        return review

    def sign_operation(self) -> tuple[dict[str, str], dict[str, str]]:
        """Both steps of what an identity does."""
        statement = self.sign()
        self.wait("#review-title", "Your account signs")
        return statement, self.sign()
