#!/usr/bin/python3
"""Every text for people can be translated, and the translations are complete (spec §10.6)."""
import os
import re
import subprocess
import tempfile
import unittest

import harness
from harness import SOURCE

harness.need("xgettext", "msgmerge", "msgfmt")


def listed():
    with open(os.path.join(SOURCE, "po", "POTFILES")) as lines:
        return [line.strip() for line in lines if line.strip() and line[0] != "#"]


def template(path):
    """What xgettext finds in the listed files."""
    kinds = {"c": ["--language=C", "--keyword=_", "--keyword=N_", "--keyword=ngettext:1,2"],
             "ui": [], "desktop": ["--language=Desktop"], "xml": []}
    for name in listed():
        kind = ("desktop" if ".desktop" in name else "c" if name.endswith((".c", ".h"))
                else "ui" if name.endswith(".ui") else "xml")
        join = ["--join-existing"] if os.path.exists(path) else []
        subprocess.run(["xgettext", "--from-code=UTF-8", "--output", path] + join + kinds[kind]
                       + [name], cwd=SOURCE, check=True)


class Texts(unittest.TestCase):
    def test_list_of_files_is_complete(self):
        found = set()
        for folder in ("client", "cli", "tray", "window"):
            path = os.path.join(SOURCE, "app", folder)
            for name in os.listdir(path):
                with open(os.path.join(path, name)) as source:
                    text = source.read()
                if re.search(r'\b(?:N?_|ngettext) \("|translatable="yes"', text):
                    found.add("app/%s/%s" % (folder, name))
        self.assertEqual({n for n in listed() if n.startswith("app/")}, found)

    def test_templates_have_no_untranslated_texts(self):
        folder = os.path.join(SOURCE, "app", "window")
        spoken = r'<property name="(label|title|subtitle|tooltip-text|placeholder-text|description)">'
        for name in os.listdir(folder):
            if name.endswith(".ui"):
                with open(os.path.join(folder, name)) as source:
                    for line in source:
                        if re.search(spoken + r"[^<]*[a-z]", line):
                            self.assertIn(">Warren<", line, name)

    def test_translations_are_complete(self):
        with tempfile.TemporaryDirectory() as directory:
            pot = os.path.join(directory, "warren.pot")
            template(pot)
            with open(os.path.join(SOURCE, "po", "LINGUAS")) as languages:
                for language in languages.read().split():
                    po = os.path.join(SOURCE, "po", language + ".po")
                    merged = os.path.join(directory, language + ".po")
                    subprocess.run(["msgmerge", "--quiet", "--no-fuzzy-matching", "-o", merged, po,
                                    pot], check=True)
                    said = subprocess.run(["msgfmt", "--check", "--statistics", "-o", "/dev/null",
                                           merged], stderr=subprocess.PIPE, text=True,
                                          env=dict(os.environ, LC_ALL="C"), check=True).stderr
                    self.assertNotIn("untranslated", said, language)
                    self.assertNotIn("fuzzy", said, language)


if __name__ == "__main__":
    harness.main()
