// Passkeys. Load as a module; pages say with data attributes where they want them (ui/README.md), and work without.

const supported = Boolean(window.PublicKeyCredential && navigator.credentials);

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

// Not parseRequestOptionsFromJSON and toJSON: browsers got these years after passkeys, and extensions forget them.
const descriptors = (list = []) => list.map((one) => ({ ...one, id: bytes(one.id) }));
const request_options = (json) => ({
  ...json,
  challenge: bytes(json.challenge),
  allowCredentials: descriptors(json.allowCredentials),
});
const creation_options = (json) => ({
  ...json,
  challenge: bytes(json.challenge),
  user: { ...json.user, id: bytes(json.user.id) },
  excludeCredentials: descriptors(json.excludeCredentials),
});
const to_json = (credential) => {
  const { id, rawId, type, authenticatorAttachment, response } = credential;
  const out = { clientDataJSON: text(response.clientDataJSON) };
  for (const part of ["attestationObject", "authenticatorData", "signature", "userHandle"])
    if (response[part]) out[part] = text(response[part]);
  if (response.getTransports) out.transports = response.getTransports();
  return { id, rawId: text(rawId), type, authenticatorAttachment: authenticatorAttachment ?? undefined, response: out };
};

/** What the server said no to; `code` is its word for it. */
class Refused extends Error {
  constructor(code) {
    super(code);
    this.code = code;
  }
}
const ask = async (url, body) => {
  const answer = await fetch(url, body && {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const json = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refused(json.code ?? String(answer.status));
  return json;
};

// One place on the page tells what went wrong, in words the page brings: data-cancelled, data-known, data-failed.
const tell = (word) => {
  const place = document.querySelector("[data-passkey-message]");
  if (!place) return;
  place.textContent = word ? (place.dataset[word] ?? "") : "";
  place.hidden = !place.textContent;
};
const word_for = (error) => {
  if (error.name === "InvalidStateError") return "known"; // this authenticator has one for this account already
  if (error.name === "NotAllowedError" || error.name === "AbortError") return "cancelled";
  return "failed";
};

const sign_in = async (element, more) => {
  const { optionsUrl, verifyUrl, next } = element.dataset;
  const options = await ask(optionsUrl);
  const credential = await navigator.credentials.get({ publicKey: request_options(options), ...more });
  try {
    await ask(verifyUrl, { response: to_json(credential) });
  } catch (error) {
    // The authenticator may forget what was removed here.
    if (error.code === "PASSKEY_NOT_FOUND")
      await PublicKeyCredential.signalUnknownCredential?.({ rpId: options.rpId, credentialId: credential.id });
    throw error;
  }
  location.assign(next);
};

// Passkeys among the suggestions of a field. The request waits until one is chosen, and is asked anew before the
// server forgets its challenge (5 minutes), and when this tab comes back from behind another that may have asked.
const fields = supported ? [...document.querySelectorAll("input[data-passkey=autofill]")] : [];
let waiting;
let renewal;
const offer = async () => {
  waiting?.abort();
  clearTimeout(renewal);
  const [field] = fields;
  if (!field || document.visibilityState !== "visible") return;
  if (!(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
  const mine = (waiting = new AbortController());
  renewal = setTimeout(offer, 4 * 60_000);
  try {
    await sign_in(field, { mediation: "conditional", signal: mine.signal });
  } catch (error) {
    if (mine.signal.aborted) return;
    tell(word_for(error));
    // Offered again after a passkey was chosen and refused; where asking fails at once, that is that.
    if (error instanceof Refused && waiting === mine && error.code !== "429") renewal = setTimeout(offer, 1000);
  }
};
if (fields.length) {
  document.addEventListener("visibilitychange", offer);
  offer();
}

/** Runs one ceremony at a time; only one may be open, so the suggestions step aside. */
const on_press = (element, event, ceremony) =>
  element.addEventListener(event, async (pressed) => {
    pressed.preventDefault();
    if (element.getAttribute("aria-busy")) return;
    waiting?.abort();
    clearTimeout(renewal);
    element.setAttribute("aria-busy", "true");
    tell();
    try {
      await ceremony();
    } catch (error) {
      tell(word_for(error));
      offer();
    } finally {
      element.removeAttribute("aria-busy");
    }
  });

if (supported) {
  for (const button of document.querySelectorAll("[data-passkey=sign-in]")) {
    button.hidden = false;
    on_press(button, "click", () => sign_in(button));
  }
  for (const form of document.querySelectorAll("form[data-passkey=register]")) {
    form.hidden = false;
    on_press(form, "submit", async () => {
      const { optionsUrl, verifyUrl, next } = form.dataset;
      const name = form.elements.namedItem("name")?.value.trim() || undefined;
      const options = creation_options(await ask(optionsUrl));
      const credential = await navigator.credentials.create({ publicKey: options });
      await ask(verifyUrl, { response: to_json(credential), name });
      location.assign(next);
    });
  }
}
