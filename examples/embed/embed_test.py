#!/usr/bin/env python3
"""Starts the example, signs up and asks it who is there: embed_test.py <program>"""

import http.client
import json
import socket
import subprocess
import sys
import tempfile


def main():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        program = subprocess.Popen([sys.argv[1], str(port), folder + "/app.db"], stdout=subprocess.PIPE, text=True)
        try:
            assert program.stdout.readline() == f"http://localhost:{port}\n"
            walk(port)
        finally:
            program.terminate()
            assert program.wait(10) == 0, "ends when it is asked to"


def walk(port):
    origin = f"http://localhost:{port}"
    cookie = ""

    def ask(method, path, body=None):
        nonlocal cookie
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        headers = {"Host": f"localhost:{port}", "Origin": origin}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if cookie:
            headers["Cookie"] = cookie
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        for value in response.headers.get_all("Set-Cookie") or []:
            pair, *attributes = value.split("; ")
            if pair.startswith("better-auth.session_token="):
                cookie = "" if "Max-Age=0" in attributes else pair
        return response.status, response.read().decode()

    assert ask("GET", "/") == (200, "Please sign in.\n")
    status, text = ask("POST", "/api/auth/sign-up/email", {"name": "Ada", "email": "ada@example.com", "password": "correct horse"})
    assert status == 200, text
    assert json.loads(text)["user"]["email"] == "ada@example.com"
    assert ask("GET", "/") == (200, "Hello, Ada.\n")
    assert json.loads(ask("GET", "/api/auth/get-session")[1])["user"]["name"] == "Ada"
    assert ask("POST", "/api/auth/sign-out", {}) == (200, '{"success":true}')
    assert ask("GET", "/") == (200, "Please sign in.\n")
    assert ask("GET", "/api/auth/nothing") == (404, "")


if __name__ == "__main__":
    main()
