// Conveniences only: every page does its work without this file.
"use strict";

// A form is sent once. The button is marked after the event, so its name and value still go with the form.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "true";
  setTimeout(() => {
    for (const button of form.querySelectorAll("button:not([type=button])")) button.setAttribute("aria-busy", "true");
  }, 0);
});

// Back from the browser's page cache: forms work again.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.forms) delete form.dataset.sent;
  for (const button of document.querySelectorAll("[aria-busy]")) button.removeAttribute("aria-busy");
});

// The page whose only purpose is one button presses it.
const only = document.querySelector("form[data-autosubmit]");
if (only) only.requestSubmit();

// Codes: what is no digit goes, also from a pasted "1234 5678".
for (const field of document.querySelectorAll("input[data-digits]")) {
  field.addEventListener("input", () => {
    const digits = field.value.replace(/\D/g, "").slice(0, Number(field.dataset.digits));
    if (digits !== field.value) field.value = digits;
  });
}

// Times in the reader's own zone, and in the page's language as they write it.
const language = document.documentElement.lang || "en";
const locale = navigator.languages.find((tag) => tag.split("-")[0] === language) ?? language;
const show_times = (root) => {
  for (const time of root.querySelectorAll("time[data-local]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const today = at.toDateString() === new Date().toDateString();
    time.title = time.textContent;
    time.textContent = new Intl.DateTimeFormat(locale, today ? { timeStyle: "medium" } : { dateStyle: "medium", timeStyle: "short" }).format(at);
  }
};
show_times(document);

// Copy buttons exist only where copying works.
if (navigator.clipboard) {
  for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      const label = button.textContent;
      button.textContent = button.dataset.copied;
      setTimeout(() => { button.textContent = label; }, 1500);
    });
  }
}

// A list that keeps itself fresh: the page is asked for again and this part taken over when it differs.
const live = document.querySelector("[data-live]");
if (live) {
  const refresh = async () => {
    if (document.visibilityState !== "visible" || live.contains(document.activeElement)) return;
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector("[data-live]");
    if (!fresh || fresh.dataset.live === live.dataset.live) return;
    live.replaceChildren(...fresh.childNodes);
    live.dataset.live = fresh.dataset.live;
    show_times(live);
  };
  setInterval(() => refresh().catch(() => {}), 2000);
}
