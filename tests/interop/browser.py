"""A real browser on a host of the laboratory: headless Chromium, told what to do by the WebDriver protocol.

    with Browser(host, folder) as browser:
        browser.open(url)
        browser.type("secret", "…")
        browser.press("Let It In")
        assert "is in" in browser.heading()

Scripts of pages do not run: what works here works without them.
"""

import base64
import http.client
import json
import os
import shutil
import socket
import subprocess

from lab import LabError, tail, wait_for

PORT = 9515
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync",
             "--disable-dev-shm-usage", "--window-size=800,900",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 10.77.*"]  # nothing outside of the laboratory


def have_browser():
    return bool(shutil.which("chromium") and shutil.which("chromedriver"))


class Browser:
    def __init__(self, host, folder):
        self.host, self.folder = host, folder
        self.log = os.path.join(folder, "chromedriver.log")
        self.profile = os.path.join(folder, f"profile-{id(self)}")
        self.session = self.process = None

    def __enter__(self):
        with open(self.log, "a") as log:
            self.process = self.host.popen(["chromedriver", f"--port={PORT}"], stdout=log, stderr=subprocess.STDOUT)
        wait_for(self._listens, 60, "chromedriver listens")
        options = {"args": [*ARGUMENTS, f"--user-data-dir={self.profile}"], "binary": shutil.which("chromium")}
        self.session = self._call("POST", "/session", timeout=60, capabilities={
            "alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options, "acceptInsecureCerts": True}})["sessionId"]
        self.devtools("Emulation.setScriptExecutionDisabled", value=True)
        return self

    def __exit__(self, *_):
        try:
            if self.session:
                self._call("DELETE", f"/session/{self.session}")
        finally:
            self.process.terminate()
            self.process.wait(10)
            shutil.rmtree(self.profile, ignore_errors=True)

    # The protocol

    def _listens(self):
        with self.host.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
            return s.connect_ex(("127.0.0.1", PORT)) == 0

    def _call(self, method, path, timeout=60, **arguments):
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=timeout)
        connection.sock = self.host.socket(socket.AF_INET, socket.SOCK_STREAM)
        connection.sock.settimeout(timeout)
        try:
            connection.sock.connect(("127.0.0.1", PORT))
            connection.request(method, path, json.dumps(arguments) if method == "POST" else None,
                               {"Content-Type": "application/json"})
            answer = json.loads(connection.getresponse().read())["value"]
        except OSError as error:
            raise LabError(f"browser: {method} {path}: {error}: {tail(self.log, 5)}")
        finally:
            connection.close()
        if isinstance(answer, dict) and "error" in answer:
            raise LabError(f"browser: {path} {arguments}: {answer['error']}: {answer['message'].splitlines()[0]}")
        return answer

    def _do(self, method, path, **arguments):
        return self._call(method, f"/session/{self.session}{path}", **arguments)

    def devtools(self, command, **parameters):
        return self._do("POST", "/goog/cdp/execute", cmd=command, params=parameters)

    # What a person does and sees

    def open(self, url):
        self._do("POST", "/url", url=url)

    @property
    def url(self):
        return self._do("GET", "/url")

    def source(self):
        return self._do("GET", "/source")

    def find(self, selector, using="css selector"):
        """The elements that match, maybe none."""
        return [e[ELEMENT] for e in self._do("POST", "/elements", using=using, value=selector)]

    def text(self, selector="body"):
        found = self.find(selector)
        return self._do("GET", f"/element/{found[0]}/text") if found else ""

    def heading(self):
        return self.text("h1")

    def alert(self):
        return self.text("[role=alert]")

    def type(self, name, text):
        """Fills the field NAME in, instead of what is there."""
        field = self.find(f"[name={name}]:not([type=hidden])")[0]
        self._do("POST", f"/element/{field}/clear")
        self._do("POST", f"/element/{field}/value", text=text)

    def choose(self, name, text):
        for option in self.find(f"select[name={name}] option"):
            if self._do("GET", f"/element/{option}/text") == text:
                self._do("POST", f"/element/{option}/click")
                return
        raise LabError(f"browser: {name} offers no {text!r}")

    def press(self, label):
        """The button or link with this label; back when the next page is there."""
        wanted = f"//button[normalize-space(.)={json.dumps(label)}] | //a[normalize-space(.)={json.dumps(label)}]"
        found = self.find(wanted, "xpath")
        if not found:
            raise LabError(f"browser: no {label!r} on {self.url}: {self.text()}")
        page = self.find("html")[0]
        self._do("POST", f"/element/{found[0]}/click")
        wait_for(lambda: self._is_over(page) and self.find("h1"), 40, f"a page follows {label!r}")

    def _is_over(self, page):
        try:
            self._do("GET", f"/element/{page}/name")
            return False
        except LabError:
            return True

    def unfold(self, label):
        """Opens the part of the page behind this label."""
        summary = self.find(f"//summary[normalize-space(.)={json.dumps(label)}]", "xpath")[0]
        self._do("POST", f"/element/{summary}/click")

    def cookies(self):
        return self._do("GET", "/cookie")

    def forget(self):
        """As if the person had never been here."""
        self._do("DELETE", "/cookie")

    # Pictures

    def pictures(self, name):
        """The page as it is now, light, dark and on a narrow screen; the bytes of the three PNGs."""
        folder = os.environ.get("WARREN_PICTURES")
        pictures = []
        for look, scheme, width in (("light", "light", 800), ("dark", "dark", 800), ("narrow", "light", 360)):
            self.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1,
                          mobile=width < 500)
            picture = base64.b64decode(self._do("GET", "/screenshot"))
            pictures.append(picture)
            if folder:
                with open(os.path.join(folder, f"{name}-{look}.png"), "wb") as file:
                    file.write(picture)
        self.devtools("Emulation.clearDeviceMetricsOverride")
        self.devtools("Emulation.setEmulatedMedia", features=[])
        return pictures
