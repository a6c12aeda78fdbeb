"use strict";

const FINE = 72; // points a side of a smooth map
const body = document.body;
const articles = [...document.querySelectorAll("article")];
const tongues = [...document.querySelectorAll(".tongues button")];
const count = document.querySelector("h1 small");
const all = count?.textContent;
let lit = null; // the word that lights its place

// Maps of a caption: for each word, side * side numbers from 0 to 255 on the caption's own scale.
function maps(saying) {
  saying.maps ??= Uint8Array.from(atob(saying.dataset.maps), (char) => char.charCodeAt(0));
  return saying.maps;
}

function place(word) {
  const saying = word.closest(".saying");
  const words = [...saying.querySelectorAll(".word")];
  const size = maps(saying).length / words.length;
  const start = words.indexOf(word) * size;
  return { values: maps(saying).subarray(start, start + size), side: Math.sqrt(size) };
}

// Smooth by cubic B-splines, which never leave the range of the numbers.
function smooth(values, side) {
  const weights = Array.from({ length: FINE }, (_, index) => {
    const at = ((index + 0.5) * side) / FINE - 0.5;
    const base = Math.floor(at);
    const t = at - base;
    const four = [(1 - t) ** 3, 3 * t ** 3 - 6 * t * t + 4, -3 * t ** 3 + 3 * t * t + 3 * t + 1, t ** 3];
    return four.map((share, step) => [Math.min(side - 1, Math.max(0, base + step - 1)), share / 6]);
  });
  const pixels = new ImageData(FINE, FINE);
  weights.forEach((rows, y) =>
    weights.forEach((columns, x) => {
      let value = 0;
      for (const [row, high] of rows) for (const [column, wide] of columns) value += values[row * side + column] * high * wide;
      pixels.data[4 * (y * FINE + x) + 3] = Math.min(255, 300 * (value / 255) ** 0.75);
    }),
  );
  return pixels;
}

function light(word) {
  if (lit) lit.setAttribute("aria-pressed", "false");
  const before = lit?.closest("article");
  lit = word;
  if (before && before !== word?.closest("article")) before.classList.remove("lit");
  if (!word) return before?.classList.remove("lit");
  const article = word.closest("article");
  word.setAttribute("aria-pressed", "true");
  article.classList.add("lit");
  draw();
  article.querySelector(".readout").textContent = word.title;
}

function draw() {
  if (!lit) return;
  const picture = lit.closest("article").querySelector(".picture");
  const image = picture.querySelector("img");
  const canvas = picture.querySelector("canvas") ?? picture.appendChild(document.createElement("canvas"));
  const ratio = Math.min(devicePixelRatio, 2);
  canvas.width = Math.max(1, image.clientWidth * ratio);
  canvas.height = Math.max(1, image.clientHeight * ratio);
  // The picture may be smaller than its frame.
  const scale = Math.min(canvas.width / image.naturalWidth, canvas.height / image.naturalHeight);
  const [width, height] = [image.naturalWidth * scale, image.naturalHeight * scale];
  const box = [(canvas.width - width) / 2, (canvas.height - height) / 2, width, height];
  const { values, side } = place(lit);
  const mask = document.createElement("canvas");
  mask.width = mask.height = FINE;
  mask.getContext("2d").putImageData(smooth(values, side), 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(mask, ...box);
  context.globalCompositeOperation = "source-in";
  context.drawImage(image, ...box);
}

// Whoever points at the picture sees which words looked there; afterwards, a word lights its place again.
function point(article, event) {
  const image = article.querySelector("img");
  const frame = image.getBoundingClientRect();
  const scale = Math.min(frame.width / image.naturalWidth, frame.height / image.naturalHeight);
  const x = (event.clientX - frame.left - (frame.width - image.naturalWidth * scale) / 2) / (image.naturalWidth * scale);
  const y = (event.clientY - frame.top - (frame.height - image.naturalHeight * scale) / 2) / (image.naturalHeight * scale);
  if (x < 0 || y < 0 || x >= 1 || y >= 1) return leave(article);
  light(null);
  article.querySelector(".readout").textContent = "The words that looked here glow.";
  for (const word of article.querySelectorAll(".word")) {
    const { values, side } = place(word);
    word.style.setProperty("--here", (values[Math.floor(y * side) * side + Math.floor(x * side)] / 255).toFixed(2));
  }
}

function leave(article) {
  for (const word of article.querySelectorAll(".word")) word.style.removeProperty("--here");
  if (!lit && article.classList.contains("open")) light(strongest(article));
}

function strongest(article) {
  const words = [...article.querySelector(".saying").querySelectorAll(".word")];
  return words.reduce((best, word) => (Number(word.dataset.strength) > Number(best.dataset.strength) ? word : best));
}

function move(word, event) {
  const sayings = [...word.closest("article").querySelectorAll(".saying")].filter((saying) => saying.offsetParent);
  const row = sayings.indexOf(word.closest(".saying"));
  const words = [...sayings[row].querySelectorAll(".word")];
  const column = words.indexOf(word);
  const along = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  const down = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  let next = null;
  if (along) next = words[column + along];
  else if (event.key === "Home") next = words[0];
  else if (event.key === "End") next = words[words.length - 1];
  else if (down && sayings[row + down]) {
    const others = [...sayings[row + down].querySelectorAll(".word")];
    next = others[Math.min(column, others.length - 1)];
  } else if (!down) return;
  event.preventDefault();
  next?.focus();
}

// One picture, where the address names it or it is the only one; else the sheet.
function arrange() {
  const single = articles.length === 1 ? articles[0] : null;
  const open = single ?? articles[Number(location.hash.slice(1)) - 1] ?? null;
  light(null);
  body.classList.toggle("stage", open !== null);
  document.querySelector("main > div").className = open ? "" : "sheet";
  for (const article of articles) article.classList.toggle("open", article === open);
  if (count) count.textContent = open ? `${articles.indexOf(open) + 1} of ${articles.length}` : all;
  if (!open) return;
  scrollTo(0, 0);
  const index = articles.indexOf(open);
  const [, back, on] = document.querySelectorAll(".way a");
  if (back) {
    back.href = `#${index || articles.length}`;
    on.href = `#${((index + 1) % articles.length) + 1}`;
  }
  const image = open.querySelector("img");
  image.decode().then(() => open.classList.contains("open") && light(strongest(open)));
}

for (const saying of document.querySelectorAll(".saying")) {
  const words = [...saying.querySelectorAll(".word")];
  words.forEach((word, index) => {
    word.tabIndex = index ? -1 : 0;
    word.setAttribute("aria-pressed", "false");
    word.style.setProperty("--strength", word.dataset.strength);
    word.addEventListener("pointerenter", (event) => event.pointerType === "mouse" && light(word));
    word.addEventListener("focus", () => light(word));
    word.addEventListener("click", () => light(word));
    word.addEventListener("keydown", (event) => move(word, event));
  });
}
for (const article of articles) {
  const picture = article.querySelector(".picture");
  picture.addEventListener("pointermove", (event) => body.classList.contains("stage") && point(article, event));
  picture.addEventListener("pointerleave", () => leave(article));
  article.addEventListener("pointerleave", () => body.classList.contains("stage") || light(null));
}
for (const button of tongues) {
  button.addEventListener("click", () => {
    for (const other of tongues) other.setAttribute("aria-pressed", String(other === button));
    for (const saying of document.querySelectorAll(".saying")) saying.classList.toggle("chosen", saying.lang === button.lang);
  });
}
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && articles.length > 1) location.hash = "";
});
addEventListener("resize", draw);
addEventListener("hashchange", arrange);
arrange();
