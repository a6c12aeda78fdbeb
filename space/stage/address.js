// What the address says, so that a link shows the same thing, reload loses nothing, and Back goes back.
let said = new URLSearchParams(location.hash.slice(1));
const returns = new Set();
const MOST = 3;

export const asked = (name) => said.get(name);

/** Call `listener` when a visitor goes back, forward, or writes another address. */
export const onReturn = (listener) => returns.add(listener);

addEventListener("popstate", () => {
  said = new URLSearchParams(location.hash.slice(1));
  forgive();
  for (const listener of returns) listener();
});

/** Write what the page shows; what is null or empty is left out. `push` makes it a step that Back undoes. */
export function put(values, push = false) {
  for (const [name, value] of Object.entries(values)) {
    if (value === null || value === undefined || value === "") said.delete(name);
    else said.set(name, value);
  }
  const text = String(said);
  if (location.hash === (text && `#${text}`)) return;
  history[push ? "pushState" : "replaceState"](null, "", text ? `#${text}` : location.pathname + location.search);
}

export function sceneAsText(scene) {
  const things = scene.things.map(({ emoji, x, y }) => [emoji, x, y].join(",")).join(";");
  return { scene: things, on: scene.background };
}

/** Read the scene of the address: null where there is none, or where it cannot be read, which is then reported. */
export function readScene(byEmoji, backgrounds) {
  if (!said.has("scene")) return null;
  const asked = said.get("scene").split(";").filter(Boolean).map((thing) => thing.split(","));
  const background = said.get("on") ?? "green";
  const stranger = asked.find(([emoji]) => !byEmoji.has(emoji));
  if (!asked.length || asked.length > MOST) blame(`its scene has ${asked.length} things, and scenes here have one to three`);
  else if (stranger) blame(`it has “${clip(stranger[0])}”, which is not among the ${byEmoji.size} things here`);
  else if (!Object.hasOwn(backgrounds, background)) blame(`its background is “${clip(background)}”, which is not one of those here`);
  else if (asked.some(([, ...place]) => place.length !== 2 || !place.every(isShare))) blame("it does not say where its things are");
  else return { background, things: asked.map(([emoji, x, y]) => ({ emoji, x: Number(x), y: Number(y) })) };
  return null;
}

/** Read the word of the address as `[language, place]`: null where there is none. */
export function readWord() {
  const [language, place] = (said.get("word") ?? "").split(".");
  return language ? [language, Number(place)] : null;
}

export const clip = (text) => (text.length > 20 ? `${text.slice(0, 20)}…` : text);
const isShare = (text) => text.trim() !== "" && Number(text) >= 0 && Number(text) <= 1;

// What a link asks for and cannot be shown is reported once, at the top of the page.
const faults = new Set();

export function blame(fault) {
  faults.add(fault);
  const notice = document.querySelector("#florenz-notice");
  if (!notice) return;
  notice.textContent = `This link cannot be shown as it was: ${[...faults].join("; ")}. The rest is here.`;
  notice.hidden = false;
}

export function forgive() {
  if (!faults.size) return; // the notice may say something else
  faults.clear();
  const notice = document.querySelector("#florenz-notice");
  if (notice) notice.hidden = true;
}
