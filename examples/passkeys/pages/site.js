// What the pages of the example do besides passkeys: forms that post JSON, who is signed in, which passkeys there are.
for (const form of document.querySelectorAll("form[data-post]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(form.dataset.post, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(Object.fromEntries(new FormData(form))),
    });
    if (answer.ok) location.assign(form.dataset.next);
  });
}

const who = document.querySelector("[data-who]");
if (who) {
  const session = await (await fetch("/api/auth/get-session")).json();
  if (session) {
    who.textContent = `Signed in as ${session.user.email}`;
    const list = document.querySelector("[data-list]");
    for (const passkey of await (await fetch(list.dataset.list)).json()) {
      const item = document.createElement("li");
      item.textContent = passkey.name;
      list.append(item);
    }
  }
}
