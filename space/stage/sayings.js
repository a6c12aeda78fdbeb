// What the model says: a row for each language, whose words are buttons.
import { places } from "./light.js";
import { button, make } from "./parts.js";

/** Make the rows. `onWord(row, column, chosen)` is told a word that is pointed at, or chosen; `onNever` that the mark of
 * a language that nobody captioned in is. */
export function makeSayings({ names, onWord, onNever }) {
  const box = make("div", { class: "sayings" });
  let shown = []; // sayings

  const at = (place) => box.querySelector(`[data-at="${place}"]`);
  const place = (word) => word.dataset.at.split(".").map(Number);
  const words = () => box.querySelectorAll(".word");

  function head(saying) {
    const name = names[saying.language] ?? saying.language;
    const tongue = make("span", { class: "tongue", lang: saying.language }, name);
    if (saying.never) tongue.append(button({ class: "never", "aria-label": `${name}: never captioned by hand` }, "◦"));
    return tongue;
  }

  function draw(sayings) {
    const held = box.contains(document.activeElement) ? document.activeElement.dataset.at : null;
    shown = sayings;
    box.replaceChildren(
      ...sayings.map((saying, row) => {
        const parts = saying.words.flatMap((word, column) => [
          word.before,
          button({
            class: `word${word.sure < 0.5 ? " unsure" : ""}`, "data-at": `${row}.${column}`, "aria-pressed": "false",
            tabindex: column ? "-1" : "0", style: `--strength:${word.strength}`,
          }, word.text),
        ]);
        return make("div", { class: "saying", lang: saying.language }, head(saying), make("p", { dir: "auto" }, ...parts));
      }),
    );
    if (held) at(held)?.focus();
  }

  /** Show texts that are being written, by language. */
  function grow(texts) {
    if (!shown.length) shown = Object.keys(texts).map((language) => ({ language, words: [] }));
    if (!box.children.length) draw(shown);
    for (const row of box.children) {
      row.classList.add("growing");
      row.querySelector("p").textContent = texts[row.lang] ?? "";
    }
  }

  function unlight() {
    for (const word of box.querySelectorAll("[aria-pressed=true]")) word.setAttribute("aria-pressed", "false");
  }

  function light(row, column) {
    unlight();
    at(`${row}.${column}`)?.setAttribute("aria-pressed", "true");
  }

  /** Let the words glow that looked at a place of the picture, given as shares of its sides. */
  function glow(x, y) {
    for (const word of words()) {
      const [row, column] = place(word);
      const [bytes, side] = places(shown[row], column);
      const [left, top] = [x, y].map((share) => Math.min(side - 1, Math.max(0, Math.floor(share * side))));
      word.style.setProperty("--here", (bytes[top * side + left] / 255).toFixed(2));
    }
  }

  function unglow() {
    for (const word of words()) word.style.removeProperty("--here");
  }

  function listen(event) {
    if (event.type === "click" && event.target.closest(".never")) return onNever();
    const word = event.target.closest(".word");
    if (word && (event.type !== "pointerover" || event.pointerType === "mouse")) onWord(...place(word), event.type !== "pointerover");
  }
  for (const kind of ["pointerover", "focusin", "click"]) box.addEventListener(kind, listen);
  box.addEventListener("keydown", (event) => {
    const word = event.target.closest(".word");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!word || !step) return;
    event.preventDefault();
    const [row, column] = place(word);
    const next = shown[row + step[0]];
    if (next) at(`${row + step[0]}.${Math.min(column + step[1], next.words.length - 1)}`)?.focus();
  });
  return { box, draw, grow, light, unlight, glow, unglow };
}
