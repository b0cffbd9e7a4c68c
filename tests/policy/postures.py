"""Conditions on devices (D.3, postures)."""

import re


def version(text):
    return [int(part) for part in re.findall(r"\d+", text)]


def holds(assertion, node):
    """One condition of a posture; what is not known of a node never holds."""
    name, operator, operand = re.fullmatch(r"(\S+?)\s*(NOT IN|IN|==|!=|<=|>=|<|>)\s*(.+)", assertion).groups()
    value = {"node:os": node.os, "node:tsVersion": node.version}.get(name)
    if not value:
        return False
    listed = value.lower() in [v.lower() for v in re.findall(r"'([^']*)'", operand)]
    if operator in ("==", "IN"):
        return listed
    if operator in ("!=", "NOT IN"):
        return not listed
    ours, theirs = version(value), version(operand)
    return {"<": ours < theirs, "<=": ours <= theirs, ">": ours > theirs, ">=": ours >= theirs}[operator]
