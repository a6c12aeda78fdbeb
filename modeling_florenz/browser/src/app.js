// The page: what is seen and pressed. All work is done by `worker.js`.

import { fillCompose, drawScene } from "./compose.js";

const LARGEST_SIDE = 4096; // pixels; a larger image is read smaller, as its array would fill the memory of a phone
const MOST_BYTES = 64e6;
const find = (id) => document.getElementById(id);
const worker = new Worker("./worker.js", { type: "module" });
const waiting = new Map();
let settings;
let shown = 0; // number of the image that is there

worker.addEventListener("message", ({ data: { id, part, result, error } }) => {
  const { resolve, reject, report } = waiting.get(id);
  if (part) return report(part);
  waiting.delete(id);
  if (error === undefined) resolve(result);
  else reject(new Error(error));
});
worker.addEventListener("error", () => {
  for (const { reject } of waiting.values()) reject(new Error("the worker could not be started: load the page again"));
});

let last = 0;
function ask(kind, rest = {}, report = () => {}) {
  return new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject, report });
    worker.postMessage({ id: last, kind, ...rest });
  });
}

const OUT_OF_MEMORY = /memory|allocat|bad_alloc|array length|RangeError/i;

function fail(error) {
  const little = "This browser has too little memory for the model: close other tabs, or take a smaller model.";
  find("failure").textContent = OUT_OF_MEMORY.test(error.message) ? little : error.message;
  find("failure").hidden = false;
}

function busy(is) {
  find("failure").hidden = is || find("failure").hidden;
  for (const button of document.querySelectorAll("#work button:not(dd button)")) button.disabled = is;
}

async function working(task) {
  busy(true);
  try {
    await task();
  } catch (error) {
    fail(error);
  } finally {
    busy(false);
  }
}

const nameOf = (code) => settings.languages[code][0].toUpperCase() + settings.languages[code].slice(1);

function option(value, text) {
  return new Option(text, value);
}

function spotlight({ heat, side } = {}) {
  const canvas = find("light");
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  if (!heat) return;
  const most = Math.max(...heat, 1e-9);
  const small = new OffscreenCanvas(side, side);
  const shade = new ImageData(side, side);
  heat.forEach((value, at) => {
    shade.data[at * 4 + 3] = 215 * (1 - (value / most) ** 0.8);
  });
  small.getContext("2d").putImageData(shade, 0, 0);
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

function wordButtons(found) {
  const line = document.createDocumentFragment();
  found.words.forEach((one, place) => {
    if (place && one.space) line.append(" ");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = one.word;
    for (const event of ["mouseenter", "focus", "click"]) {
      button.addEventListener(event, () => spotlight({ heat: one.heat, side: found.side }));
    }
    for (const event of ["mouseleave", "blur"]) button.addEventListener(event, () => spotlight());
    line.append(button);
  });
  return line;
}

async function caption() {
  const number = shown;
  const languages = Object.keys(settings.languages);
  const places = languages.map((code) => find(`caption-${code}`));
  const start = performance.now();
  const found = await ask("caption", { languages, task: find("style").value }, ({ texts }) => {
    if (number === shown) texts.forEach((text, row) => (places[row].textContent = text));
  });
  if (number !== shown) return;
  places.forEach((place, row) => place.replaceChildren(wordButtons(found[row])));
  find("time").textContent = `${languages.length} captions in ${((performance.now() - start) / 1000).toFixed(1)} s`;
  document.documentElement.dataset.ids = JSON.stringify(found.map((one) => one.ids));
}

/** Show an image and describe it. */
async function show(bitmap, width, height) {
  shown++;
  spotlight();
  find("translation").textContent = "";
  find("scores").replaceChildren();
  delete document.documentElement.dataset.ids;
  const canvas = find("picture");
  canvas.getContext("2d").fillStyle = "white";
  canvas.getContext("2d").fillRect(0, 0, canvas.width, canvas.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const whole = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  whole.drawImage(bitmap, 0, 0, width, height);
  await ask("look", { picture: whole.getImageData(0, 0, width, height) });
  await caption();
}

async function open(file) {
  if (file.size > MOST_BYTES) throw new Error(`${file.name} has more than 64 MB: choose a smaller image.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  } catch {
    throw new Error(`${file.name} is not an image that this browser reads: choose a PNG or JPEG.`);
  }
  const scale = Math.min(1, LARGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  await show(bitmap, Math.max(1, Math.round(bitmap.width * scale)), Math.max(1, Math.round(bitmap.height * scale)));
}

function table(rows) {
  const found = document.createElement("table");
  const head = found.createTHead().insertRow();
  for (const name of ["Candidate", "Share", "Perplexity"]) {
    const cell = document.createElement("th");
    cell.scope = "col";
    cell.textContent = name;
    head.append(cell);
  }
  const body = found.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const value of row) line.insertCell().textContent = value;
  }
  return found;
}

function listen() {
  find("file").addEventListener("change", ({ target }) => {
    const [file] = target.files;
    target.value = "";
    if (file) working(() => open(file));
  });
  const drop = find("drop");
  for (const event of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(event, (given) => {
      given.preventDefault();
      drop.classList.toggle("over", event === "dragover");
      if (event === "drop" && given.dataTransfer.files[0]) working(() => open(given.dataTransfer.files[0]));
    });
  }
  find("again").addEventListener("click", () => working(caption));
  find("make").addEventListener("click", () => working(async () => show(await drawScene(settings.scenes), 384, 384)));
  find("translate").addEventListener("submit", (event) => {
    event.preventDefault();
    const { text, language } = Object.fromEntries(new FormData(event.target));
    working(async () => {
      if (!text.trim()) throw new Error("The text is empty: write what to translate.");
      const place = find("translation");
      const [found] = await ask("translate", { text, language }, ({ texts }) => (place.textContent = texts[0]));
      place.textContent = found.text + (found.cut ? " (the text was too long and its end was left out)" : "");
    });
  });
  find("score").addEventListener("submit", (event) => {
    event.preventDefault();
    const { text, language, candidates } = Object.fromEntries(new FormData(event.target));
    working(async () => {
      const lines = [...new Set(candidates.split("\n").map((line) => line.trim()).filter(Boolean))];
      if (!text.trim()) throw new Error("The text is empty: write what was translated.");
      if (lines.length < 2 || lines.length > 16) {
        throw new Error(`There are ${lines.length} different candidates: write 2 to 16, one per line.`);
      }
      const scores = await ask("score", { text, language, candidates: lines });
      const best = Math.max(...scores);
      const sum = scores.reduce((all, score) => all + Math.exp(score - best), 0);
      const rows = lines
        .map((line, row) => [line, Math.exp(scores[row] - best) / sum, Math.exp(-scores[row])])
        .sort((one, other) => other[1] - one[1])
        .map(([line, share, perplexity]) => [line, `${(100 * share).toFixed(1)} %`, perplexity.toPrecision(4)]);
      find("scores").replaceChildren(table(rows));
    });
  });
}

const STYLES = {
  caption: "Caption",
  detailed_caption: "Detailed caption",
  more_detailed_caption: "More detailed caption",
};

function fill() {
  for (const [task, name] of Object.entries(STYLES)) {
    if (settings.styles.includes(task)) find("style").add(option(task, name));
  }
  const codes = Object.keys(settings.languages);
  for (const code of codes) {
    const term = document.createElement("dt");
    const text = document.createElement("dd");
    term.textContent = nameOf(code);
    text.id = `caption-${code}`;
    text.lang = code;
    find("captions").append(term, text);
  }
  for (const form of ["translate", "score"]) {
    for (const code of codes) if (code !== "en") find(form).elements.language.add(option(code, nameOf(code)));
  }
  const { translate, score } = settings.examples;
  find("translate").elements.text.value = translate;
  find("score").elements.text.value = score.text;
  find("score").elements.language.value = score.language;
  find("score").elements.candidates.value = score.candidates.join("\n");
  find("banner").hidden = !settings.scenes;
  find("compose").hidden = !settings.scenes;
  if (settings.scenes) fillCompose(settings.scenes);
}

async function start() {
  const device = new URLSearchParams(location.search).get("device") ?? undefined;
  try {
    const found = await ask("load", { device }, ({ progress, megabytes }) => {
      find("progress").value = progress;
      find("loading-text").textContent =
        `${Math.round(progress * megabytes)} of ${Math.round(megabytes)} MB. ` +
        "They are kept for the next visit, also without a network.";
    });
    settings = found.settings;
    if (found.device !== "webgpu") {
      find("device").textContent =
        "This browser offers no WebGPU here: the model runs on the processor, which is slower for large models.";
      find("device").hidden = false;
    }
    fill();
    listen();
    find("loading").hidden = true;
    find("work").hidden = false;
  } catch (error) {
    find("loading").hidden = true;
    fail(error);
    return;
  }
  await working(async () => open(new File([await (await fetch("./sample.png")).blob()], "sample.png")));
  document.documentElement.dataset.ready = "true";
}

navigator.serviceWorker?.register("./offline.js", { type: "module" }).catch(() => {
  // Without it the page works all the same, but only with a network.
});
start();
