#!/usr/bin/python3
"""Devices let in by people at the sign-in page of our own coordinator, with a real browser."""

import os
import traceback

from browser import Browser, have_browser
from home import Home
from lab import Lab, Tap, skip_all, tail, wait_for
from nodes import chosen_pairs, make_node

PASSWORD = "correct horse battery"


def finished(node, timeout=90):
    """The waiting `up` came back; its exit code."""
    return node.login.wait(timeout)


def set_password(home, browser):
    with Tap.current.test("the first password is set at its page, with the one-time code of the server"):
        code = home.json("users", "code")["code"]
        browser.open(f"{home.url}/password")
        browser.pictures("password")
        browser.type("login", "owner")
        browser.type("secret", code.upper().replace("-", " "))
        browser.type("new", "short")
        browser.type("again", "short")
        browser.press("Set Password")
        assert "too short" in browser.alert(), browser.text()
        browser.type("secret", code)
        browser.type("new", PASSWORD)
        browser.type("again", PASSWORD)
        browser.press("Set Password")
        assert browser.heading() == "The password is set", browser.text()
        assert home.json("users", "list")[0]["password"] is True
        cookie = browser.cookies()[0]
        assert cookie["httpOnly"] and cookie["sameSite"] == "Lax", cookie
        browser.press("Sign out")
        assert browser.heading() == "Signed out"
    with Tap.current.test("a code works once"):
        browser.open(f"{home.url}/password")
        browser.type("secret", code)
        browser.type("new", PASSWORD + "!")
        browser.type("again", PASSWORD + "!")
        browser.press("Set Password")
        assert "not a one-time code" in browser.alert(), browser.text()


def approve(home, browser, node):
    with Tap.current.test("the page shows the device, and looking at it lets nobody in"):
        url = node.begin_login()
        browser.open(url)
        text = browser.text()
        assert node.name in browser.heading() and "linux" in text and node.host.ip4 in text, text
        browser.pictures("device")
        browser.open(url)
        assert node.state() != "Running"
        assert not any(n["name"] == node.name and n["approved"] for n in home.json("nodes", "list"))
    with Tap.current.test("a wrong password lets nobody in"):
        browser.type("secret", "wrong horse battery")
        browser.press("Let It In")
        assert "not the password" in browser.alert(), browser.text()
        browser.pictures("device-wrong")
        assert node.state() != "Running"
    with Tap.current.test("with the owner's password the device is in, and up comes back"):
        browser.type("secret", PASSWORD)
        browser.press("Let It In")
        assert "is in" in browser.heading() and "You can close this page" in browser.text(), browser.text()
        browser.pictures("device-in")
        assert finished(node) == 0, tail(os.path.join(node.dir, "login.log"))
        node.wait_running(60)


def again(home, browser, node):
    with Tap.current.test("whoever is signed in needs one click; the device keeps its address and name"):
        address = node.ip4
        node.logout()
        node.wait_state("NeedsLogin")
        url = node.begin_login()
        browser.open(url)
        assert "Signed in as owner" in browser.text(), browser.text()
        browser.pictures("device-signed-in")
        browser.press("Let It In")
        assert "is in" in browser.heading(), browser.text()
        assert finished(node) == 0
        node.wait_running(60)
        assert node.ip4 == address
        assert [n["name"] for n in home.json("nodes", "list")].count(node.name) == 1


def refuse(home, browser, node):
    with Tap.current.test("a refused device is told so"):
        url = node.begin_login()
        browser.open(url)
        browser.press("Refuse")
        assert "was refused" in browser.heading(), browser.text()
        browser.pictures("device-refused")
        wait_for(lambda: "was refused" in tail(os.path.join(node.dir, "login.log"))
                 or "was refused" in node.log() or "was refused" in str(node.status()), 15, "the device says it")
        assert node.state() != "Running"
        node.login.terminate()


def by_code(home, browser, node):
    with Tap.current.test("a one-time code of the server lets a device in"):
        browser.forget()
        url = node.begin_login("--force-reauth") if node.kind == "official" else node.begin_login()
        code = home.json("nodes", "approve")["code"]
        browser.open(url)
        browser.type("secret", code)
        browser.press("Let It In")
        assert "is in" in browser.heading(), browser.text()
        assert finished(node) == 0
        node.wait_running(60)


def people(home, browser, node):
    with Tap.current.test("an invited person sets a password and lets in a device of his own"):
        browser.forget()
        link = home.json("users", "invite", "hazel")["link"]
        browser.open(link)
        browser.pictures("invited")
        browser.type("new", "watership down 1972")
        browser.type("again", "watership down 1972")
        browser.press("Set Password")
        assert browser.heading() == "The password is set", browser.text()
        browser.open(node.begin_login())
        assert not browser.find("select"), "a member chooses nobody else"
        browser.press("Let It In")
        assert "is in" in browser.heading(), browser.text()
        assert finished(node) == 0
        node.wait_running(60)
        entry = next(n for n in home.json("nodes", "list") if n["name"] == node.name)
        assert entry["user"] == "hazel", entry


def for_others(home, browser, node):
    with Tap.current.test("the owner lets a device in for somebody else"):
        node.logout()
        home.run("nodes", "remove", node.name)
        browser.forget()
        url = node.begin_login()
        browser.open(f"{home.url}/password")  # sign in without deciding anything
        browser.type("login", "owner")
        browser.type("secret", PASSWORD)
        browser.type("new", PASSWORD)
        browser.type("again", PASSWORD)
        browser.press("Set Password")
        browser.open(url)
        browser.pictures("device-people")
        browser.choose("user", "hazel")
        browser.press("Let It In")
        assert "is in" in browser.heading(), browser.text()
        assert finished(node) == 0
        entry = next(n for n in home.json("nodes", "list") if n["name"] == node.name)
        assert entry["user"] == "hazel", entry


def others(home, browser):
    with Tap.current.test("an old link says what to do"):
        browser.open(f"{home.url}/register/0123456789abcdef0123456789abcdef")
        assert browser.heading() == "Nothing waits here" and "Start signing in again" in browser.text()
        browser.pictures("gone")
        browser.open(f"{home.url}/")
        browser.pictures("home")


def main():
    chosen = chosen_pairs(("official/official", "warren/warren"))
    if not have_browser():
        skip_all("needs chromium and chromedriver")
    tap = Tap.current = Tap("sign-in by browser", 200 * len(chosen))
    for kinds in chosen:
        tap.note("/".join(kinds))
        with Lab() as lab, Home(lab, official="official" in kinds) as home:
            tap.evidence = [home.log]
            try:
                a = make_node(kinds[0], home, lab.host("a"), "alpha").start()
                b = make_node(kinds[1], home, lab.host("b"), "beta").start()
                with Browser(lab.host("desk"), home.dir) as browser:
                    set_password(home, browser)
                    approve(home, browser, a)
                    again(home, browser, a)
                    refuse(home, browser, b)
                    by_code(home, browser, b)
                    third = make_node(kinds[1], home, lab.host("c"), "gamma").start()
                    people(home, browser, third)
                    for_others(home, browser, third)
                    others(home, browser)
            except Exception as error:  # the scenario could not go on
                tap.note(traceback.format_exc())
                with tap.test(f"{'/'.join(kinds)}: the scenario runs to its end"):
                    raise error
    tap.finish()


main()
