// Asking the admin listener: every address is relative to the page, and the operator's token is shown if there is one.

const TOKEN = "pushgate.token";

export function token() {
  return sessionStorage.getItem(TOKEN) ?? "";
}

/** Keep the token for as long as the tab is open; an empty one is forgotten. */
export function keepToken(text) {
  if (text) sessionStorage.setItem(TOKEN, text);
  else sessionStorage.removeItem(TOKEN);
}

/** Return where something is, as seen from the page. */
export function address(path) {
  return new URL(path, document.baseURI);
}

/** Ask; throws what fetch throws. */
export function ask(path, {headers = {}, ...options} = {}) {
  const own = token() ? {Authorization: `Bearer ${token()}`} : {};
  return fetch(address(path), {cache: "no-store", credentials: "omit", ...options, headers: {...own, ...headers}});
}

/** Have something changed; returns the answer's text, and throws an Error with its words if it is a no. */
export async function order(path) {
  const answer = await ask(path, {method: "POST", headers: {"Pushgate-Admin": "1"}});
  const text = (await answer.text()).trim();
  if (!answer.ok) throw new Error(text || `the gateway answered ${answer.status}`);
  return text;
}
