"""JSON with comments and trailing commas, read by hand into values that know where they stand.

Plain and slow: the reference that the coordinator's reader is compared with. It reads one character after the
other, keeps object members in the order of the file and stops at the first thing that is not HuJSON.
"""

ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class SyntaxFault(Exception):
    def __init__(self, line, column, text):
        super().__init__(f"line {line}, column {column}: {text}")
        self.line, self.column = line, column


class Value:
    """kind: object, array, string, number, true, false or null. An object's content is [(name, place, value)]."""

    def __init__(self, kind, content, place):
        self.kind, self.content, self.place = kind, content, place

    def plain(self):
        """The same as Python's json module would give it."""
        if self.kind == "object":
            return {name: value.plain() for name, _, value in self.content}
        if self.kind == "array":
            return [value.plain() for value in self.content]
        return self.content


class Reader:
    def __init__(self, text):
        self.text, self.at, self.line, self.start = text, 0, 1, 0

    def place(self):
        return self.line, self.at - self.start + 1

    def fault(self, expected, place=None):
        raise SyntaxFault(*(place or self.place()), "expected " + expected)

    def peek(self):
        return self.text[self.at] if self.at < len(self.text) else ""

    def step(self):
        if self.text[self.at] == "\n":
            self.line += 1
            self.start = self.at + 1
        self.at += 1

    def space(self):
        while True:
            if self.peek() and self.peek() in " \t\r\n":
                self.step()
            elif self.text.startswith("//", self.at):
                while self.peek() not in ("", "\n"):
                    self.step()
            elif self.text.startswith("/*", self.at):
                place = self.place()
                end = self.text.find("*/", self.at + 2)
                if end < 0:
                    self.fault("the end of the comment", place)
                while self.at < end + 2:
                    self.step()
            else:
                return

    def document(self):
        self.space()
        value = self.value()
        self.space()
        if self.peek():
            self.fault("the end of the file")
        return value

    def value(self):
        place, sign = self.place(), self.peek()
        if sign == "{":
            return Value("object", self.members(), place)
        if sign == "[":
            return Value("array", self.items(), place)
        if sign == '"':
            return Value("string", self.string(), place)
        for word, content in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                for _ in word:
                    self.step()
                return Value(word, content, place)
        if sign and sign in "-0123456789":
            return Value("number", self.number(), place)
        return self.fault("a value")

    def members(self):
        members = []
        self.step()
        self.space()
        while self.peek() != "}":
            place = self.place()
            if self.peek() != '"':
                self.fault("a member name")
            name = self.string()
            self.space()
            if self.peek() != ":":
                self.fault("a colon")
            self.step()
            self.space()
            members.append((name, place, self.value()))
            self.space()
            if self.peek() == ",":
                self.step()
                self.space()
            elif self.peek() != "}":
                self.fault("a comma")
        self.step()
        return members

    def items(self):
        items = []
        self.step()
        self.space()
        while self.peek() != "]":
            items.append(self.value())
            self.space()
            if self.peek() == ",":
                self.step()
                self.space()
            elif self.peek() != "]":
                self.fault("a comma")
        self.step()
        return items

    def string(self):
        out = []
        self.step()
        while self.peek() != '"':
            sign = self.peek()
            if sign == "" or sign < " ":
                self.fault("the end of the string")
            self.step()
            if sign != "\\":
                out.append(sign)
            elif self.peek() == "u":
                self.step()
                code = self.hex4()
                if 0xD800 <= code < 0xDC00 and self.text.startswith("\\u", self.at):
                    self.step()
                    self.step()
                    code = 0x10000 + ((code - 0xD800) << 10) + (self.hex4() - 0xDC00)
                out.append(chr(code))
            elif self.peek() in ESCAPES and self.peek():
                out.append(ESCAPES[self.peek()])
                self.step()
            else:
                self.fault("an escape")
        self.step()
        return "".join(out)

    def hex4(self):
        digits = self.text[self.at:self.at + 4]
        if len(digits) < 4 or any(c not in "0123456789abcdefABCDEF" for c in digits):
            self.fault("four hexadecimal digits")
        for _ in digits:
            self.step()
        return int(digits, 16)

    def number(self):
        start, place = self.at, self.place()
        while self.peek() and self.peek() in "+-.eE0123456789":
            self.step()
        text = self.text[start:self.at]
        whole = text.lstrip("-")
        if len(whole) > 1 and whole[0] == "0" and whole[1].isdigit():
            self.fault("a number", place)
        try:
            return int(text) if text.lstrip("-").isdigit() else float(text)
        except ValueError:
            return self.fault("a number", place)


def parse(text):
    return Reader(text).document()
