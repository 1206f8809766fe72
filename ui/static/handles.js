// Suggests handles while somebody types one, in the list that the field names. Load as a module; the page works without.

const pause = 200; // milliseconds without a key

for (const field of document.querySelectorAll("input[data-handles-url]")) {
  let timer, asking;

  const ask = async () => {
    const typed = field.value.trim();
    if (typed.length < 2 || [...field.list.options].some((option) => option.value === typed)) return;
    asking = new AbortController();
    const answer = await fetch(`${field.dataset.handlesUrl}?q=${encodeURIComponent(typed)}`, {
      headers: { accept: "application/json" },
      signal: asking.signal,
    });
    if (!answer.ok) return;
    const { handles } = await answer.json();
    field.list.replaceChildren(...handles.map((handle) => new Option(handle, handle)));
  };

  field.addEventListener("input", () => {
    clearTimeout(timer);
    asking?.abort();
    timer = setTimeout(() => ask().catch(() => {}), pause);
  });
}
