#!/usr/bin/env python3
"""Reads the catalogue of English, the templates and the sources: every message that is asked for exists, and every one that exists is asked for.

    words_test.py <root>        checks <root>/ui and <root>/src
    words_test.py --self-test   makes small trees with every mistake, and looks whether they are found

What a catalogue and a template look like is checked when the binary loads them; this is about keys in C++, and about leftovers.
"""

import json
import pathlib
import re
import sys
import tempfile

TEMPLATE = re.compile(r"\{\{#?\s*t:([a-z_.]+)\s*\}\}")
# words.text("key", reader.text(new ? "key" : "other"
TEXT = re.compile(r'(\w+)?(?:\.|->)text\(\s*(?:[^"();]*\?\s*)?"([a-z_]+\.[a-z_.]+)"(?:\s*:\s*"([a-z_.]+)")?')
ERROR_PAGE = re.compile(r'\berror_page\(\s*\w+\s*,\s*"([a-z_]+)"')
LITERAL = re.compile(r'"([a-z_.]+)"')


def check(root):
    root = pathlib.Path(root)
    keys = set(json.loads((root / "ui/messages/en.json").read_text()))
    problems = []
    used = {"language.dir", "language.name"}

    def use(path, text, position, key):
        used.add(key)
        if key not in keys:
            problems.append(f"{path.relative_to(root)}:{text.count(chr(10), 0, position) + 1}: there is no message {key}")

    for path in sorted((root / "ui/templates").iterdir()):
        used.update(TEMPLATE.findall(path.read_text()))  # loading refuses unknown ones
    mentioned = set()
    for path in sorted([*(root / "src").rglob("*.cpp"), *(root / "src").rglob("*.h")]):
        if path.stem.endswith("_test"):
            continue
        text = path.read_text()
        mentioned.update(LITERAL.findall(text))
        if not path.relative_to(root).as_posix().startswith(("src/signin/", "src/auth/service/")):
            continue
        for m in TEXT.finditer(text):
            for key in filter(None, m.groups()[1:]):
                # Words for permissions say what comes after "permission.".
                use(path, text, m.start(), key if key in keys or f"permission.{key}" not in keys else f"permission.{key}")
        for m in ERROR_PAGE.finditer(text):
            use(path, text, m.start(), f"error.{m.group(1)}")
            use(path, text, m.start(), f"error.{m.group(1)}.message")

    def is_mentioned(key):
        made = [key.removeprefix("permission."), key.removesuffix(".message")]
        # What comes behind these is a word of its own in the sources.
        kind, _, word = key.removesuffix(".action").partition(".")
        if kind in ("audit", "by", "notice", "problem", "success"):
            made.append(word)
        return key in used or any(one in mentioned for one in [key, *made])

    problems += [f"ui/messages/en.json: nobody asks for {key}" for key in sorted(keys) if not is_mentioned(key)]
    return len(keys), problems


def self_test():
    good = {
        "ui/messages/en.json": '{"language.dir": "ltr", "language.name": "English", "a.title": "x", "a.one": "x", "a.many": "x", '
        '"b.block": "{x}", "permission.repo.one": "x", "error.gone": "x", "error.gone.message": "x"}',
        "ui/templates/a.html": '<p title="{{t:a.title}}">{{#t:b.block}}{{$x}}x{{/x}}{{/t:b.block}}</p>',
        "src/signin/a.cpp": 'f(reader.text(n == 1 ? "a.one" : "a.many")); text("repo.one"); g(words.text("repo.one"));\n'
        'pages_.error_page(400, "gone", request);',
        "src/signin/a_test.cpp": 'words.text("absent.key");',
    }
    bad = [
        ("src/signin/b.cpp", '\nreader.text("a.absent");', "src/signin/b.cpp:2: there is no message a.absent"),
        ("src/signin/b.cpp", 'at.reader.text(x ? "a.one" : "a.absent");', "there is no message a.absent"),
        ("src/signin/b.cpp", 'error_page(404, "lost", r);', "there is no message error.lost"),
        ("ui/templates/a.html", "{{t:b.block}}", "nobody asks for a.title"),
        ("src/signin/a.cpp", 'reader.text("a.one"), words.text("repo.one"), error_page(400, "gone", r);', "nobody asks for a.many"),
    ]
    failed = False
    for name, text, expected in [(None, "", None), *bad]:
        with tempfile.TemporaryDirectory() as folder:
            for path, content in (good | ({name: text} if name else {})).items():
                file = pathlib.Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(content)
            _, problems = check(folder)
        if (expected is None) != (not problems) or (expected and not any(expected in p for p in problems)):
            failed = True
            print(f"{name}: {text}\n  expected: {expected}\n  found: {problems}")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    count, problems = check(sys.argv[1])
    for line in problems:
        print(line)
    print(f"{count} messages, {len(problems)} problems")
    sys.exit(bool(problems) or count < 10)


if __name__ == "__main__":
    main()
