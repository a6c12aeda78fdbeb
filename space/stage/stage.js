// The stage. `element`, `props`, `watch` and `trigger` are given by gr.HTML.
const FINE = 72; // points a side of a smooth map
const WAIT = 20_000; // ms until an answer is called lost
const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const button = (attributes, ...children) => make("button", { type: "button", ...attributes }, ...children);
const root = element.querySelector(".stage") ?? element;
const things = props.things ?? [];
const byEmoji = new Map(things.map((thing, index) => [thing.emoji, { ...thing, index }]));
const composes = things.length > 0;

let shown = props.value ?? null; // the last finished answer
let scene = structuredClone(shown?.scene ?? null); // as the visitor has it
let lit = null; // [saying, word]
let number = 0;
let asking = null; // timer of the answer that is waited for
let pending = null; // what to ask next
let touched = false;

// What is there.
const image = make("img", { alt: "" });
const canvas = make("canvas", { "aria-hidden": "true" });
const handles = make("div", { class: "handles" });
const picture = make("div", { class: "picture" }, image, canvas, handles);
const readout = make("p", { class: "readout", "aria-live": "polite" });
const problem = make("p", { class: "problem", role: "alert", hidden: "" });
const grounds = make("div", { class: "grounds", role: "group", "aria-label": "Background" });
const opener = button({ class: "open", "aria-expanded": "false" }, "Add a thing");
const share = button({ class: "share" }, "Copy link");
const search = make("input", { type: "search", placeholder: "Search 208 things", "aria-label": "Search things" });
const grid = make("div", { class: "grid" });
const palette = make("div", { class: "palette", hidden: "" }, search, grid);
const tools = make("div", { class: "tools" }, grounds, make("span", { class: "actions" }, opener, share));
const sayings = make("div", { class: "sayings" });
const foot = make("p", { class: "foot" });
root.replaceChildren(
  make("div", { class: "left" }, picture, readout, problem, ...(composes ? [tools, palette] : [])),
  make("div", { class: "right" }, sayings, foot),
);
search.placeholder = `Search ${things.length} things`;

function sprite(emoji, tag = "span") {
  const { index } = byEmoji.get(emoji);
  const rows = Math.ceil(things.length / props.columns);
  const x = (index % props.columns) / (props.columns - 1);
  const y = Math.floor(index / props.columns) / Math.max(1, rows - 1);
  return make(tag, {
    class: "sprite", "aria-hidden": "true",
    style: `background:url("${props.sprites}") ${x * 100}% ${y * 100}% / ${props.columns * 100}% ${rows * 100}%`,
  });
}

// Asking: one question at a time; while one is out, only the newest other one is kept.
function ask(quick = false) {
  touched = true;
  if (asking) return void (pending = { quick: quick && pending?.quick !== false });
  number += 1;
  root.classList.add("busy");
  asking = setTimeout(() => {
    settle();
    tell("No answer came: the connection is lost, or the Space is busy. Change something to ask again.");
    askPending();
  }, WAIT);
  trigger("submit", { scene, quick, number });
}

function askPending() {
  if (!pending || asking) return;
  const { quick } = pending;
  pending = null;
  ask(quick);
}

function settle() {
  clearTimeout(asking);
  asking = null;
  root.classList.remove("busy");
}

function tell(sentence) {
  problem.textContent = sentence;
  problem.hidden = !sentence;
}

function receive() {
  const value = props.value;
  if (!value || typeof value !== "object") return;
  // What the page began with may be handed out again, after the address has named another scene.
  if (value.scene && (value.asked === undefined || value.asked === null)) return;
  if (value.asked === undefined || value.asked === null || value.asked === number) settle();
  if (!asking) setTimeout(askPending); // not from here: Gradio still hands out this answer
  tell(value.problem ?? "");
  if (!value.sayings) return;
  shown = value;
  if (value.asked === undefined || value.asked === null) {
    scene = structuredClone(value.scene); // a picture of the visitor's own
    touched = true;
  }
  render();
}

// Drawing.
function render() {
  image.src = shown.picture;
  image.alt = shown.sayings[0].text;
  drawHandles();
  drawSayings();
  foot.replaceChildren(
    touched ? "" : "Written when this Space started; touch anything and it is written anew. ",
    shown.unknown || overlapping(),
  );
  foot.classList.toggle("unknown", Boolean(shown.unknown));
  const [row, word] = lit ?? strongest();
  light(Math.min(row, shown.sayings.length - 1), word);
}

// The model saw no things that overlap.
function overlapping() {
  const given = shown.scene?.things ?? [];
  const side = 0.8 * (props.sides[given.length - 1] ?? 1);
  const meet = given.some((one, index) => given.slice(index + 1).some((other) => Math.abs(one.x - other.x) < side));
  return meet ? "In training, things stood side by side: where one is above another, the model may fail." : "";
}

function drawSayings() {
  const held = sayings.contains(document.activeElement) ? document.activeElement.dataset.at : null;
  sayings.replaceChildren(
    ...shown.sayings.map((saying, row) => {
      const words = saying.words.flatMap((word, column) => [
        word.before,
        button({
          class: `word${word.sure < 0.5 ? " unsure" : ""}`, "data-at": `${row}.${column}`, "aria-pressed": "false",
          tabindex: column ? "-1" : "0", style: `--strength:${word.strength}`,
        }, word.text),
      ]);
      const name = props.names[saying.language] ?? saying.language;
      const tongue = make("span", { class: "tongue" }, name);
      if (saying.never) tongue.append(button({ class: "never", "aria-label": `${name}: never captioned by hand` }, "◦"));
      return make("div", { class: "saying", lang: saying.language }, tongue, make("p", { dir: "auto" }, ...words));
    }),
  );
  if (held) at(held)?.focus();
}

const at = (place) => sayings.querySelector(`[data-at="${place}"]`);

function drawHandles() {
  if (!scene) return void handles.replaceChildren();
  const side = props.sides[scene.things.length - 1] ?? props.sides.at(-1);
  handles.replaceChildren(
    ...scene.things.map((thing, index) => {
      const name = byEmoji.get(thing.emoji)?.name ?? thing.emoji;
      const left = Math.min(Math.max(thing.x - side / 2, 0), 1 - side);
      const top = Math.min(Math.max(thing.y - side / 2, 0), 1 - side);
      const handle = button({
        class: "handle", "data-index": index, "aria-label": `${name}: drag or press arrows to move, Delete to take away`,
        style: `left:${left * 100}%;top:${top * 100}%;width:${side * 100}%;height:${side * 100}%`,
      });
      if (byEmoji.has(thing.emoji)) handle.append(sprite(thing.emoji));
      handle.append(make("span", { class: "away", "aria-hidden": "true", title: "Take away" }, "×"));
      return handle;
    }),
  );
  for (const swatch of grounds.children) swatch.setAttribute("aria-pressed", String(swatch.title === scene.background));
  picture.style.setProperty("--field", props.backgrounds[scene.background]);
  opener.disabled = scene.things.length >= 3;
  opener.textContent = opener.disabled ? "Three things are the most" : "Add a thing";
}

// Change the scene: at once on the page, and in words when the model has answered.
function change(next, quick = false, remember = true) {
  scene = next;
  picture.classList.add("changing");
  unlight();
  lit = null;
  drawHandles();
  touched = true; // or the address would not take the scene
  if (remember) keep(true);
  ask(quick);
}

function strongest() {
  let best = [0, 0];
  shown.sayings[0].words.forEach((word, column) => {
    if (word.strength > shown.sayings[0].words[best[1]].strength) best = [0, column];
  });
  return best;
}

function values(row, column) {
  const saying = shown.sayings[row];
  saying.bytes ??= Uint8Array.from(atob(saying.maps), (char) => char.charCodeAt(0));
  const size = saying.bytes.length / saying.words.length;
  return [saying.bytes.subarray(column * size, (column + 1) * size), Math.sqrt(size)];
}

function unlight() {
  for (const word of sayings.querySelectorAll("[aria-pressed=true]")) word.setAttribute("aria-pressed", "false");
  picture.classList.remove("lit");
}

function light(row, column) {
  unlight();
  const word = shown.sayings[row]?.words[column];
  if (!word) return;
  lit = [row, column];
  at(`${row}.${column}`)?.setAttribute("aria-pressed", "true");
  const bare = word.text.replace(/[,.:;。，、：]+$/u, "") || word.text;
  const parts = [make("strong", {}, `“${bare}”`), ` ${percent(word.sure)} sure`];
  // The thing that the word needs most, by taking it away.
  const falls = word.without.map((chance) => word.sure - chance);
  const most = falls.indexOf(Math.max(...falls));
  if (falls[most] > 0.05 && shown.scene) {
    const name = byEmoji.get(shown.scene.things[most].emoji)?.name;
    parts.push(`; without the ${name} in the picture ${percent(word.without[most])}`);
  } else if (word.without.length) parts.push("; whatever is taken away, it stays");
  readout.replaceChildren(...parts, ".");
  picture.classList.add("lit");
  drawLight();
}

const percent = (share) => (share < 0.001 ? "under 0.1 %" : `${(share * 100).toFixed(share > 0.995 || share < 0.1 ? 1 : 0)} %`);

// Smooth by cubic B-splines, which never leave the range of the numbers.
function smooth([bytes, side]) {
  const weights = Array.from({ length: FINE }, (_, index) => {
    const place = ((index + 0.5) * side) / FINE - 0.5;
    const base = Math.floor(place);
    const t = place - base;
    const four = [(1 - t) ** 3, 3 * t ** 3 - 6 * t * t + 4, -3 * t ** 3 + 3 * t * t + 3 * t + 1, t ** 3];
    return four.map((share, step) => [Math.min(side - 1, Math.max(0, base + step - 1)), share / 6]);
  });
  const pixels = new ImageData(FINE, FINE);
  weights.forEach((rows, y) => weights.forEach((columns, x) => {
    let value = 0;
    for (const [row, high] of rows) for (const [column, wide] of columns) value += bytes[row * side + column] * high * wide;
    pixels.data[4 * (y * FINE + x) + 3] = Math.min(255, 300 * (value / 255) ** 0.75);
  }));
  return pixels;
}

async function drawLight() {
  const [row, column] = lit;
  await image.decode().catch(() => {});
  if (!lit || lit[0] !== row || lit[1] !== column || !image.clientWidth) return;
  canvas.width = image.clientWidth * 2;
  canvas.height = image.clientHeight * 2;
  const mask = make("canvas");
  mask.width = mask.height = FINE;
  mask.getContext("2d").putImageData(smooth(values(row, column)), 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(mask, 0, 0, canvas.width, canvas.height);
  context.globalCompositeOperation = "source-in";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
}

// Words: by mouse, by touch, by keyboard.
function onWord(event) {
  const never = event.target.closest(".never");
  if (never && event.type === "click") return void readout.replaceChildren(
    props.never, " ", make("a", { href: "https://huggingface.co/modeling-florenz/florenz-tiny", target: "_blank", rel: "noopener" }, "The study"), ".");
  const word = event.target.closest(".word");
  if (!word || (event.type === "pointerover" && event.pointerType !== "mouse")) return;
  light(...word.dataset.at.split(".").map(Number));
}
for (const kind of ["pointerover", "focusin", "click"]) sayings.addEventListener(kind, onWord);
sayings.addEventListener("keydown", (event) => {
  const word = event.target.closest(".word");
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!word || !step) return;
  event.preventDefault();
  const [row, column] = word.dataset.at.split(".").map(Number);
  const next = shown.sayings[row + step[0]];
  if (next) at(`${row + step[0]}.${Math.min(column + step[1], next.words.length - 1)}`)?.focus();
});

// Pointing at the picture: the words that looked there glow.
picture.addEventListener("pointermove", (event) => {
  if (event.pointerType !== "mouse" || dragged || !shown) return;
  const frame = image.getBoundingClientRect();
  const [x, y] = [(event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height];
  if (x < 0 || y < 0 || x >= 1 || y >= 1) return;
  for (const word of sayings.querySelectorAll(".word")) {
    const [bytes, side] = values(...word.dataset.at.split(".").map(Number));
    word.style.setProperty("--here", (bytes[Math.floor(y * side) * side + Math.floor(x * side)] / 255).toFixed(2));
  }
  picture.classList.remove("lit");
});
picture.addEventListener("pointerleave", () => {
  for (const word of sayings.querySelectorAll(".word")) word.style.removeProperty("--here");
  if (lit && shown && !dragged) picture.classList.add("lit");
});

// Things: drag, arrows, take away.
let dragged = null;
let spoken = 0;
function without(index) {
  if (scene.things.length < 2) return tell("A scene has at least one thing: add another one first.");
  change({ ...scene, things: scene.things.filter((_, place) => place !== index) });
}
function move(index, x, y, quick) {
  const clamp = (share) => Math.round(Math.min(Math.max(share, 0), 1) * 1000) / 1000;
  const next = scene.things.map((thing, place) => (place === index ? { ...thing, x: clamp(x), y: clamp(y) } : thing));
  return { ...scene, things: next };
}
handles.addEventListener("pointerdown", (event) => {
  const handle = event.target.closest(".handle");
  if (!handle) return;
  const index = Number(handle.dataset.index);
  if (event.target.closest(".away")) return without(index);
  const frame = picture.getBoundingClientRect();
  const { x, y } = scene.things[index];
  dragged = { index, frame, x, y, startX: event.clientX, startY: event.clientY, moved: false };
  handles.setPointerCapture(event.pointerId);
});
handles.addEventListener("pointermove", (event) => {
  if (!dragged) return;
  const { index, frame, x, y, startX, startY } = dragged;
  if (!dragged.moved && Math.hypot(event.clientX - startX, event.clientY - startY) < 4) return;
  dragged.moved = true;
  scene = move(index, x + (event.clientX - startX) / frame.width, y + (event.clientY - startY) / frame.height);
  picture.classList.add("changing");
  unlight();
  lit = null;
  drawHandles();
  if (performance.now() - spoken > 250) {
    spoken = performance.now();
    ask(true);
  }
});
function drop() {
  if (!dragged) return;
  const { moved } = dragged;
  dragged = null;
  if (moved) change(scene);
}
for (const kind of ["pointerup", "pointercancel"]) handles.addEventListener(kind, drop);
handles.addEventListener("keydown", (event) => {
  const handle = event.target.closest(".handle");
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  if (!handle) return;
  const index = Number(handle.dataset.index);
  if (event.key === "Delete" || event.key === "Backspace") without(index);
  else if (step) change(move(index, scene.things[index].x + step[0] * 0.06, scene.things[index].y + step[1] * 0.06));
  else return;
  event.preventDefault();
  (handles.children[Math.min(index, handles.children.length - 1)])?.focus();
});

// Palette and backgrounds.
function add(emoji) {
  const first = scene ?? { things: [], background: "green" };
  if (first.things.length >= 3) return tell("A scene has three things at the most: take one away first.");
  // In training no things overlap, so they make room.
  const order = [...first.things, { emoji, x: 0.99, y: 0.5 }];
  const columns = { 1: [0.5], 2: [0.25, 0.75], 3: [0.17, 0.5, 0.83] }[order.length];
  change({ ...first, things: order.map((thing, index) => ({ ...thing, x: columns[index] })) });
}
function fill() {
  const wanted = search.value.trim().toLowerCase();
  const found = things.filter((thing) => !wanted || `${thing.name} ${thing.kind} ${thing.emoji}`.includes(wanted));
  grid.replaceChildren(
    ...found.map((thing) => button({ class: "pick", "data-emoji": thing.emoji, title: thing.name, "aria-label": thing.name }, sprite(thing.emoji))),
  );
  if (!found.length) grid.append(make("p", {}, `Nothing here is called “${search.value.trim()}”.`));
}
search.addEventListener("input", fill);
grid.addEventListener("click", (event) => {
  const pick = event.target.closest(".pick");
  if (pick) add(pick.dataset.emoji);
});
opener.addEventListener("click", () => {
  palette.hidden = !palette.hidden;
  opener.setAttribute("aria-expanded", String(!palette.hidden));
  if (!grid.children.length) fill();
});
for (const [name, colour] of Object.entries(props.backgrounds ?? {})) {
  const swatch = button({ class: "swatch", title: name, "aria-label": name, "aria-pressed": "false", style: `--colour:${colour}` });
  swatch.addEventListener("click", () => change({ things: scene?.things ?? [], background: name }));
  grounds.append(swatch);
}
share.addEventListener("click", async () => {
  keep(false);
  await navigator.clipboard?.writeText(location.href).catch(() => {});
  share.textContent = "Link copied";
  setTimeout(() => (share.textContent = "Copy link"), 1500);
});

// The address says which tab is open and what the scene is.
const tabs = () => [...document.querySelectorAll("[role=tab]")];
const slug = (tab) => tab.textContent.trim().toLowerCase().replace(/[^a-z]+/g, "-").replace(/-$/, "");
function keep(push) {
  const said = new URLSearchParams();
  const open = tabs().find((tab) => tab.getAttribute("aria-selected") === "true");
  if (open && open !== tabs()[0]) said.set("tab", slug(open));
  if (scene && touched) {
    said.set("scene", scene.things.map(({ emoji, x, y }) => [emoji, x, y].join(",")).join(";"));
    said.set("on", scene.background);
  }
  const next = String(said) ? `#${said}` : location.pathname + location.search;
  if (location.hash === (String(said) ? next : "")) return;
  history[push ? "pushState" : "replaceState"](null, "", next);
}
function restore(event) {
  const said = new URLSearchParams(location.hash.slice(1));
  // At the start, an address without a tab does not take a visitor back who was faster than this page.
  const wanted = tabs().find((tab) => slug(tab) === said.get("tab")) ?? (event ? tabs()[0] : undefined);
  if (wanted && wanted.getAttribute("aria-selected") !== "true") wanted.click();
  if (!composes) return;
  const first = initial;
  const next = said.has("scene")
    ? {
        background: said.get("on") ?? "green",
        things: said.get("scene").split(";").map((thing) => {
          const [emoji, x, y] = thing.split(",");
          return { emoji, x: Number(x), y: Number(y) };
        }),
      }
    : first;
  if (JSON.stringify(next) !== JSON.stringify(scene)) change(next, false, false);
}
const initial = structuredClone(scene);
addEventListener("popstate", restore);
addEventListener("click", (event) => {
  if (event.isTrusted && event.target.closest?.("[role=tab]")) setTimeout(() => (touched ||= false, keep(true)));
});
new ResizeObserver(() => lit && drawLight()).observe(picture);
image.addEventListener("load", () => picture.classList.remove("changing"));
watch("value", receive);
if (shown) render();
else readout.textContent = "Upload a picture below: what the model says of it appears here, in every language.";
setTimeout(() => restore(), 50);
