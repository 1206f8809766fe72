#!/usr/bin/env python3
"""Reads the sources and fails on an arrow against the layer order, and on two coroutine mistakes no compiler sees.

    layers_test.py <root>        checks <root>/src, <root>/apps and <root>/ui
    layers_test.py --self-test   makes small trees with every mistake, and looks whether they are found

The order is the list of docs/architecture.md: arrows point down only, siblings never know each other.
"""

import pathlib
import re
import sys
import tempfile

# folder -> folders whose headers it may include (its own always). A folder stands for its sub-folders.
PURE_ATPROTO = {"atproto/syntax", "atproto/cid", "atproto/cbor", "atproto/car", "atproto/mst", "atproto/repo", "atproto/plc"}
ATPROTO = PURE_ATPROTO | {"atproto/identity", "atproto/lexicon", "atproto/xrpc"}
PURE_OAUTH = {"oauth/jose", "oauth/dpop", "oauth/pkce", "oauth/scopes"}
LOW = {"base", "crypto"}
SERVICES = {"store", "web", "mail"}
LAYERS = {
    "base": set(),
    "crypto": {"base"},
    "store": {"base"},
    "web": {"base"},
    "mail": LOW | {"store"},
    "ui": {"base", "web"},
    "atproto/syntax": {"base"},
    "atproto/cid": LOW,
    "atproto/cbor": LOW | {"atproto/cid"},
    "atproto/car": LOW | {"atproto/cid", "atproto/cbor"},
    "atproto/mst": LOW | {"atproto/cid", "atproto/cbor"},
    "atproto/repo": LOW | {"atproto/syntax", "atproto/cid", "atproto/cbor", "atproto/car", "atproto/mst"},
    "atproto/plc": LOW | {"atproto/syntax", "atproto/cid", "atproto/cbor"},
    "atproto/identity": LOW | {"atproto/syntax"},
    "atproto/lexicon": LOW | {"atproto/syntax", "atproto/cid", "atproto/cbor", "atproto/car", "atproto/mst", "atproto/repo", "atproto/identity"},
    "atproto/xrpc": LOW | {"atproto/syntax"},
    "oauth/jose": LOW,
    "oauth/dpop": LOW | {"oauth/jose"},
    "oauth/pkce": LOW,
    "oauth/scopes": LOW | {"atproto/syntax"},
    "oauth/client": LOW | PURE_OAUTH | {"atproto/identity", "atproto/syntax", "store", "web"},
    "oauth/server": LOW | PURE_OAUTH | {"atproto/syntax", "atproto/cid", "atproto/lexicon", "store", "web"},
    "auth": LOW | SERVICES | PURE_OAUTH | {"oauth/client", "oauth/server", "atproto/identity", "atproto/syntax"},
    "pds": LOW | SERVICES | ATPROTO | PURE_OAUTH | {"oauth/server"},
    "signin": LOW | SERVICES | ATPROTO | PURE_OAUTH | {"oauth/server", "auth", "pds", "ui"},
}
# `latchkey auth`: the framework with pages like those of the ePDS, and nothing of a PDS.
LAYERS["auth/service"] = LOW | SERVICES | {"atproto/syntax", "auth", "oauth/server", "signin", "ui"}
LAYERS["dev"] = set(LAYERS) - {"dev"}
LAYERS["apps"] = set(LAYERS)

# Bytes in, values out: what reaches the network or a database stays out of these.
PURE = PURE_ATPROTO | PURE_OAUTH | {"crypto"}
IMPURE_HEADERS = re.compile(r"^(sys/socket|sys/epoll|netinet/|arpa/|netdb|poll\.h|boost/asio|boost/beast|curl/|ares|sqlite3|libpq|fcntl|unistd|fstream|filesystem)")
# Read in one file each of src/base.
OUTSIDE_WORLD = re.compile(r"\b(?:system|steady|high_resolution)_clock::now\b|\brandom_device\b|\bRAND_bytes\b|\bgetrandom\b")

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>)', re.M)
CO = re.compile(r"\bco_(?:await|return|yield)\b|\bCO_TRY\b")


def folder_of(path):
    """'atproto/cbor/json.h' -> 'atproto/cbor'; 'pds/x.h' -> 'pds'; None for what is no folder of ours."""
    parts = pathlib.PurePosixPath(path).parts
    for length in (2, 1):
        if len(parts) > length and "/".join(parts[:length]) in LAYERS:
            return "/".join(parts[:length])
    return None


def blank(text):
    """The code without comments and the insides of literals, every character still in its place."""
    out = []
    i, n = 0, len(text)

    def skip(to):
        nonlocal i
        out.append(re.sub(r"[^\n]", " ", text[i:to]))
        i = to

    while i < n:
        c = text[i]
        if text.startswith("//", i):
            end = text.find("\n", i)
            skip(n if end < 0 else end)
        elif text.startswith("/*", i):
            end = text.find("*/", i + 2)
            skip(n if end < 0 else end + 2)
        elif c == '"':
            raw = re.match(r'"([^()\\ \n]{0,16})\(', text[i:]) if i and text[i - 1] == "R" else None
            if raw:
                close = ")" + raw.group(1) + '"'
                end = text.find(close, i + raw.end())
                skip(n if end < 0 else end + len(close))
            else:
                j = i + 1
                while j < n and text[j] not in '"\n':
                    j += 2 if text[j] == "\\" else 1
                skip(min(j + 1, n))
        elif c == "'" and not (i and (text[i - 1].isalnum())):  # 10'000 is a number
            j = i + 1
            while j < n and text[j] not in "'\n":
                j += 2 if text[j] == "\\" else 1
            skip(min(j + 1, n))
        else:
            out.append(c)
            i += 1
    return "".join(out)


PAIRS = {"(": ")", "{": "}", "[": "]", "<": ">"}


def closing(code, at):
    """The index of the bracket that closes the one at `at`, or -1."""
    open_, close = code[at], PAIRS[code[at]]
    depth = 0
    for i in range(at, len(code)):
        if code[i] == open_:
            depth += 1
        elif code[i] == close and not (close == ">" and code[i - 1] in "-="):
            depth -= 1
            if depth == 0:
                return i
        elif close == ">" and code[i] in ";{":
            return -1
    return -1


def spaces(code, at):
    while at < len(code) and code[at].isspace():
        at += 1
    return at


def lambdas(code):
    """(introducer, captures, body start, body end) of every lambda."""
    for m in re.finditer(r"\[", code):
        before = code[: m.start()].rstrip()
        if code.startswith("[[", m.start()) or before.endswith("["):
            continue
        if before and (before[-1].isalnum() or before[-1] in "_)]\">") and not re.search(r"\b(?:return|co_return|co_await|co_yield)$", before):
            continue
        end = closing(code, m.start())
        if end < 0:
            continue
        at = spaces(code, end + 1)
        if at < len(code) and code[at] == "<":
            stop = closing(code, at)
            if stop < 0:
                continue
            at = spaces(code, stop + 1)
        if at < len(code) and code[at] == "(":
            stop = closing(code, at)
            if stop < 0:
                continue
            at = spaces(code, stop + 1)
        head = re.compile(r"(?:\s*(?:mutable|noexcept|constexpr|static))*(?:\s*->[\w:<>,&*\s]+?)?\s*(?=\{)").match(code, at)
        if not head or code[head.end()] != "{":
            continue
        stop = closing(code, head.end())
        if stop > 0:
            yield m.start(), code[m.start() + 1 : end].strip(), head.end(), stop


def without_lambdas(code):
    """Lambda bodies blanked, so that what is left belongs to the function itself."""
    out = list(code)
    for _, _, start, end in lambdas(code):
        for i in range(start, end + 1):
            if out[i] != "\n":
                out[i] = " "
    return "".join(out)


def split_parameters(text):
    depth, last, out = 0, 0, []
    for i, c in enumerate(text):
        if c in "(<[{":
            depth += 1
        elif c in ")>]}":
            depth -= 1
        elif c == "," and depth == 0:
            out.append(text[last:i])
            last = i + 1
    out.append(text[last:])
    return [p.strip() for p in out if p.strip() and p.strip() != "void"]


def dangling(parameter):
    """Why this parameter of a coroutine may outlive what it points to, or None."""
    parameter = re.sub(r"\s*=.*$", "", parameter, flags=re.S)
    if re.match(r"^(?:const\s+)?(?:std::)?(?:string_view|span\s*<|u8string_view)|^(?:const\s+)?(?:latchkey::)?BytesView\b", parameter):
        return "a view"
    if "&&" in parameter:
        return "an rvalue reference"
    if re.match(r"^const\b[^&*]*&|^[\w:<>, ]+\bconst\s*&", parameter) and "*" not in parameter.split("&")[0]:
        return "a const reference"
    return None


def coroutines(code):
    """(position, name, parameters) of every function definition that returns a Task and is a coroutine."""
    for m in re.finditer(r"\bTask\s*<", code):
        end = closing(code, m.end() - 1)
        if end < 0:
            continue
        named = re.compile(r"\s+([\w:~]+(?:<[^<>()]*>::\w+)?)\s*(?=\()").match(code, end + 1)
        if not named:
            continue
        stop = closing(code, named.end())
        if stop < 0:
            continue
        tail = re.compile(r"\s*(?:(?:const|noexcept|override|final|&)\s*)*(?=\{)").match(code, stop + 1)
        if not tail:
            continue
        close = closing(code, tail.end())
        if close < 0 or not CO.search(without_lambdas(code[tail.end() : close + 1])):
            continue
        yield m.start(), named.group(1), split_parameters(code[named.end() + 1 : stop])


def check(root):
    root = pathlib.Path(root)
    problems = []
    files = 0
    for top in ("src", "apps", "ui"):
        for path in sorted((root / top).rglob("*")):
            if path.suffix not in (".h", ".cpp"):
                continue
            files += 1
            relative = path.relative_to(root).as_posix()
            inside = relative[len("src/") :] if top == "src" else relative
            own = "apps" if top == "apps" else folder_of(inside)
            is_test = path.stem.endswith("_test") or "testing" in path.stem
            text = path.read_text()
            code = blank(text)

            def problem(position, message):
                problems.append(f"{relative}:{text.count(chr(10), 0, position) + 1}: {message}")

            if own is None:
                problem(0, "this folder is not in the list of layers")
                continue
            for m in INCLUDE.finditer(text):
                if not code[m.start() : m.end()].lstrip().startswith("#"):
                    continue  # inside a comment
                if m.group(2):
                    if own in PURE and not is_test and IMPURE_HEADERS.match(m.group(2)):
                        problem(m.start(), f"{own} is pure, but includes <{m.group(2)}>")
                    continue
                target = folder_of(m.group(1))
                if target is None or target == own:
                    continue
                if target not in LAYERS[own]:
                    problem(m.start(), f'{own} must not know {target} ("{m.group(1)}")')
            if own != "base" and not is_test:
                for m in OUTSIDE_WORLD.finditer(code):
                    problem(m.start(), f"{m.group(0)}: time and randomness are handed in; base reads them")
            for position, name, parameters in coroutines(code):
                for parameter in parameters:
                    if why := dangling(parameter):
                        shown = " ".join(parameter.split())
                        problem(position, f"coroutine {name} takes {why} ({shown}); its frame outlives the caller's temporaries")
            for position, captures, start, end in lambdas(code):
                if captures and CO.search(without_lambdas(" " + code[start + 1 : end])):
                    problem(position, f"a capturing lambda [{captures}] is a coroutine: the captures die with the lambda")
    return files, problems


def self_test():
    good = {
        "src/base/a.h": '#include <string>\n#include "base/b.h"\nint x = 10\'000;',
        "src/atproto/repo/a.cpp": '#include "atproto/mst/tree.h"\n#include "crypto/key.h"\n// #include "store/x.h"\n',
        "src/pds/a.cpp": '#include "web/http.h"\n#include "atproto/repo/engine.h"\n#include "ares.h"\n',
        "src/pds/b.cpp": """
          Task<int> plain(std::string text, Service* service, Rng& rng) { co_return 1; }
          Task<int> forwards(const Request& r) { return plain(copy(r)); }
          Task<int> virtual_one(std::string_view) const;
          Task<void> outer(std::vector<const int*> v) {
            co_await db.read([&](Tx& tx) { return find(tx, v); });
            auto free = [](int i) -> Task<void> { co_return; };
            const char* text = "Task<int> f(std::string_view s) { co_return; }";
          }
          using F = std::function<Task<int>(const Request&)>;
          int a = table[i] + 1;
        """,
        "src/signin/a.cpp": '#include "pds/a.h"\n#include "auth/core/limits.h"\n',
        "apps/latchkey/main.cpp": '#include "dev/network.h"\n#include "config.h"\n',
    }
    bad = [
        ("src/base/a.h", '#include "crypto/key.h"', "base must not know crypto"),
        ("src/web/a.h", '#include "store/database.h"', "web must not know store"),
        ("src/store/a.h", '  #  include "web/http.h"', "store must not know web"),
        ("src/pds/a.cpp", '#include "auth/core/limits.h"', "pds must not know auth"),
        ("src/auth/core/a.cpp", '#include "pds/accounts.h"', "auth must not know pds"),
        ("src/atproto/mst/a.cpp", '#include "atproto/repo/commit.h"', "atproto/mst must not know atproto/repo"),
        ("src/oauth/dpop/a.cpp", '#include "store/database.h"', "oauth/dpop must not know store"),
        ("src/oauth/server/a.cpp", '#include "oauth/client/client.h"', "oauth/server must not know oauth/client"),
        ("src/signin/a.cpp", '#include "dev/network.h"', "signin must not know dev"),
        ("src/auth/core/a.cpp", '#include "auth/service/service.h"', "auth must not know auth/service"),
        ("src/auth/service/a.cpp", '#include "pds/accounts.h"', "auth/service must not know pds"),
        ("src/dev/a.cpp", '#include "apps/latchkey/config.h"', "dev must not know apps"),
        ("src/atproto/cid/a.cpp", "#include <sys/socket.h>", "atproto/cid is pure, but includes"),
        ("src/oauth/jose/a.cpp", "auto now = std::chrono::system_clock::now();", "time and randomness are handed in"),
        ("src/elsewhere/a.cpp", "", "not in the list of layers"),
        ("src/pds/a.cpp", "Task<int> f(std::string_view s) { co_return 1; }", "coroutine f takes a view"),
        ("src/pds/a.cpp", "Task<Result<A, B>> C::f(int i,\n  const std::map<int, int>& m) const { CO_TRY(auto x, co_await g()); }", "coroutine C::f takes a const reference"),
        ("src/pds/a.cpp", "Task<void> f(std::span<const int> s) { co_await g(s); }", "coroutine f takes a view"),
        ("src/pds/a.cpp", "Task<void> f(BytesView s) { co_await g(s); }", "coroutine f takes a view"),
        ("src/pds/a.cpp", "Task<void> f(std::string&& s) { co_await g(s); }", "coroutine f takes an rvalue reference"),
        ("src/pds/a.cpp", "void f() { run([&]() -> Task<void> { co_await g(); }()); }", "a capturing lambda [&] is a coroutine"),
        ("src/pds/a.cpp", "auto h = [this](web::Request r) mutable -> Task<web::Response> { co_return x; };", "a capturing lambda [this] is a coroutine"),
        ("src/pds/a.cpp", "void f() { g([](int i) { return [i]() -> Task<int> { co_return i; }; }); }", "a capturing lambda [i] is a coroutine"),
    ]

    def tree(files):
        folder = tempfile.TemporaryDirectory()
        for name, text in files.items():
            path = pathlib.Path(folder.name, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    failed = False
    with tree(good) as root:
        files, problems = check(root)
        if files != len(good) or problems:
            failed = True
            print("the good tree is refused:", *problems, sep="\n  ")
    for name, text, expected in bad:
        with tree({name: text + "\n"}) as root:
            _, problems = check(root)
            if len(problems) != 1 or expected not in problems[0]:
                failed = True
                print(f"{name}: {text}\n  expected: {expected}\n  found: {problems}")
    return failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        sys.exit(self_test())
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    files, problems = check(sys.argv[1])
    for line in problems:
        print(line)
    print(f"{files} files, {len(problems)} problems")
    sys.exit(bool(problems) or files < 10)


if __name__ == "__main__":
    main()
