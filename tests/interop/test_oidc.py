#!/usr/bin/python3
"""Devices let in by people who sign in at a real identity provider, with a real browser."""

import os
import subprocess
import traceback

from browser import Browser, have_browser
from home import Home
from lab import HERE, Lab, LabError, Tap, skip_all, tail, wait_for
from nodes import chosen_pairs, make_node


class Provider:
    """node-oidc-provider on a host of the lab."""

    def __init__(self, lab, home):
        done = subprocess.run([os.path.join(HERE, "provider.sh")], stdout=subprocess.PIPE, text=True, timeout=600)
        if done.returncode == 77:
            skip_all(done.stdout.strip().removeprefix("skipped: "))
        self.cache, self.home = done.stdout.strip(), home
        self.host = lab.server("provider", "10.77.9")
        self.issuer = f"http://{self.host.ip4}:9000"
        self.log_path = os.path.join(home.dir, "provider.log")
        self.process = None

    def start(self):
        command = ["node", os.path.join(HERE, "provider.mjs"), self.cache, self.issuer, self.host.ip4, "9000",
                   f"{self.home.url}/oidc/callback"]
        with open(self.log_path, "w") as log:
            self.process = self.host.popen(command, stdout=log, stderr=subprocess.STDOUT)
        wait_for(lambda: "listening" in tail(self.log_path) or self.process.poll() is not None, 30, "the provider listens")
        if self.process.poll() is not None:
            raise LabError(f"the provider ended: {tail(self.log_path)}")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def options(self, client="warren", **more):
        """The coordinator's options that name this provider."""
        secret = os.path.join(self.home.dir, f"secret-{client}")
        with open(secret, "w") as file:
            file.write(f"the secret of {client}: 1+1=2\n")
        settings = {"issuer": self.issuer, "client_id": client, "client_secret_file": secret,
                    "scopes": "openid email profile groups", **more}
        return [f"--oidc-{name.replace('_', '-')}={value}" for name, value in settings.items()]


def restart(home, options):
    home.stop()
    home.options = options
    home.start()


def sign_in(browser, provider, url, login):
    """From the device's page to the provider and back."""
    browser.open(url)
    browser.press(f"Sign in with {provider.host.ip4}:9000")
    browser.type("login", login)
    browser.type("password", "whatever")
    browser.press("Sign-in")
    if browser.url.startswith(provider.issuer):
        browser.press("Continue")


def leave(browser, home, provider):
    """Forgets who was signed in, here and there."""
    for url in (provider.issuer + "/.well-known/openid-configuration", home.url + "/"):
        browser.open(url)
        browser.forget()


def joins(home, browser, provider, node):
    with Tap.current.test("the page leads to the provider and back, and coming back lets nobody in"):
        url = node.begin_login()
        browser.open(url)
        browser.pictures("oidc-device")
        sign_in(browser, provider, url, "hazel")
        assert browser.url == url, browser.url
        assert "Signed in as hazel@burrow.example" in browser.text(), browser.text()
        assert node.state() != "Running" and not any(n["approved"] for n in home.json("nodes", "list"))
        browser.pictures("oidc-confirm")
    with Tap.current.test("one click more and the device is in, as that person's"):
        browser.press("Let It In")
        assert "is in" in browser.heading(), browser.text()
        assert node.login.wait(90) == 0
        node.wait_running(60)
        entry = home.node(node.name)
        assert entry["user"] == "hazel@burrow.example", entry
        assert "keyExpiry" in entry, "keys of such devices run out"
    with Tap.current.test("the account has its name, and is a member"):
        user = next(u for u in home.json("users", "list") if u["login"] == "hazel@burrow.example")
        assert user["displayName"] == "Hazel" and user["role"] == "member" and not user["password"], user
        profile = next(iter(u for u in node.status()["User"].values() if u["LoginName"] == "hazel@burrow.example"))
        assert profile["DisplayName"] == "Hazel", profile


def renews(home, browser, provider, node):
    with Tap.current.test("signing in anew before the key runs out renews it; address and name stay"):
        before, address = home.node(node.name)["keyExpiry"], node.ip4
        leave(browser, home, provider)
        if node.kind == "official":
            url = node.begin_login("--force-reauth")
        else:
            node.logout()
            node.wait_state("NeedsLogin")
            url = node.begin_login()
        sign_in(browser, provider, url, "hazel")
        browser.press("Let It In")
        assert node.login.wait(90) == 0
        node.wait_running(60)
        assert home.node(node.name)["keyExpiry"] > before and node.ip4 == address
        assert [n["name"] for n in home.json("nodes", "list")].count(node.name) == 1


def refusals(home, browser, provider, node):
    url = node.begin_login()
    for login, why in (("cowslip", "of another domain and group"), ("liar", "whose address is not verified")):
        with Tap.current.test(f"somebody {why} may not join"):
            leave(browser, home, provider)
            sign_in(browser, provider, url, login)
            assert "may not join this network" in browser.alert(), browser.text()
            assert "Signed in" not in browser.text() and "<b>" not in browser.source()
            browser.pictures(f"oidc-{login}")
    with Tap.current.test("an answer of the provider serves one browser, once"):
        leave(browser, home, provider)
        for bad in ("state=guess&code=x", "code=x", "error=access_denied&state=", "state=%ff&code=%00"):
            browser.open(f"{home.url}/oidc/callback?{bad}")
            assert browser.heading() == "That did not work", browser.text()
        browser.pictures("oidc-failed")
    return url


def rotation(home, browser, provider, node, url):
    with Tap.current.test("the provider may change its keys"):
        provider.stop()
        provider.start()
        leave(browser, home, provider)
        sign_in(browser, provider, url, "fiver")
        browser.press("Let It In")
        assert node.login.wait(90) == 0
        node.wait_running(60)
        assert home.node(node.name)["user"] == "fiver@burrow.example"


def elliptic(home, browser, provider, node):
    with Tap.current.test("tokens signed with ES256, and an account that was invited by its address"):
        restart(home, provider.options("warren-es", allowed_emails="fiver@burrow.example;cowslip@warren.example"))
        leave(browser, home, provider)
        home.run("users", "invite", "cowslip@warren.example", "--role=admin")
        sign_in(browser, provider, node.begin_login(), "cowslip")
        assert browser.find("select"), "an administrator chooses whose device it is"
        browser.press("Let It In")
        assert node.login.wait(90) == 0
        entry = home.node(node.name)
        assert entry["user"] == "cowslip@warren.example", entry


def away(home, browser, provider, node):
    with Tap.current.test("without the provider the page says so, and passwords still serve"):
        provider.stop()
        restart(home, provider.options())
        node.logout()
        url = node.begin_login()
        browser.open(url)
        browser.forget()
        browser.open(url)
        browser.press(f"Sign in with {provider.host.ip4}:9000")
        assert "cannot be reached" in browser.alert(), browser.text()
        browser.pictures("oidc-away")
        code = home.json("nodes", "approve")["code"]
        browser.unfold("Use a password or one-time code")
        browser.type("secret", code)
        browser.press("Let It In")
        assert node.login.wait(90) == 0


def main():
    chosen = chosen_pairs(("official/official", "warren/official"))
    if not have_browser():
        skip_all("needs chromium and chromedriver")
    tap = Tap.current = Tap("sign-in by an identity provider", 240 * len(chosen))
    for kinds in chosen:
        tap.note("/".join(kinds))
        with Lab() as lab, Home(lab) as home:
            try:
                provider = Provider(lab, home)
                provider.start()
                tap.evidence = [home.log, lambda: tail(provider.log_path)]
                restart(home, provider.options(allowed_domains="burrow.example", allowed_groups="family", expiry="30d"))
                a = make_node(kinds[0], home, lab.host("a"), "alpha").start()
                b = make_node(kinds[1], home, lab.host("b"), "beta").start()
                c = make_node(kinds[1], home, lab.host("c"), "gamma").start()
                with Browser(lab.host("desk"), home.dir) as browser:
                    joins(home, browser, provider, a)
                    renews(home, browser, provider, a)
                    url = refusals(home, browser, provider, b)
                    rotation(home, browser, provider, b, url)
                    elliptic(home, browser, provider, c)
                    away(home, browser, provider, c)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()


main()
