#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every verb, its words and its options in --help are in the manual page, and the other way round.

usage: manual.py VARVE MAN_PAGE
"""
import re
import subprocess
import sys


def ask(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def from_help(program):
    """{"verb words": set of options}, as the program tells it."""
    told = {}
    listed = ask(program, "--help").split("\nverbs:\n")[1].split("\n\n")[0]
    for verb in re.findall(r"^  ([a-z-]+(?: [a-z-]+){0,2})  ", listed, re.M):
        text = ask(program, *verb.split(), "--help")
        words = re.match(r"usage: varve " + verb + r"(.*?)(?: \[--.*)?$", text, re.M).group(1)
        options = text.split("\noptions:\n")[1]
        told[verb + words] = {
            (letter, name, argument)
            for letter, name, argument in re.findall(
                r"^  (?:-(\w), )?--([a-z-]+)(?: ([A-Z+|]+))? ", options, re.M)
            if name not in ("json", "help")
        }
    return told


def from_manual(path):
    """The same from the sections of the page that are headed by a verb."""
    told = {}
    verb = None
    for line in open(path, encoding="utf-8").read().splitlines():
        if line.startswith((".Ss", ".Sh")):
            head = re.match(r"\.Ss varve (.*)", line)
            verb = head.group(1) if head else None
            if verb is not None:
                told[verb] = set()
        elif verb is not None and line.startswith(".It"):
            item = re.match(r"\.It (?:Fl (\w) , )?Fl -([a-z-]+)(?: Ar (\S+))?$", line)
            if item is None:
                sys.exit(f"{path}: not an option: {line}")
            told[verb].add(tuple(part or "" for part in item.groups()))
    return told


def main():
    program, page = sys.argv[1:]
    told, written = from_help(program), from_manual(page)
    wrong = [f"in --help only: {verb}" for verb in told.keys() - written.keys()]
    wrong += [f"in the manual only: {verb}" for verb in written.keys() - told.keys()]
    for verb in told.keys() & written.keys():
        wrong += [f"{verb}: in --help only: {option}" for option in told[verb] - written[verb]]
        wrong += [f"{verb}: in the manual only: {option}" for option in written[verb] - told[verb]]
    if not told:
        wrong.append("--help names no verb at all")
    print("\n".join(sorted(wrong)) or f"{len(told)} verbs are described as they are")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
