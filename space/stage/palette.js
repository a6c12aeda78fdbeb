// What a scene is made of: a palette of things, backgrounds, and scenes to begin with.
import { button, make } from "./parts.js";

const MOST = 3;
const COLUMNS = { 1: [0.5], 2: [0.25, 0.75], 3: [0.17, 0.5, 0.83] }; // side by side, as in training

/** Make the tools. `scene()` gives the scene, `onChange(scene)` takes another one. */
export function makePalette({ things, sides, backgrounds, examples, sprite, scene, onChange, tell, share }) {
  const grounds = make("div", { class: "grounds", role: "group", "aria-label": "Background" });
  const opener = button({ class: "open", "aria-expanded": "false" }, "Add a thing");
  const label = `Search ${things.length} things`;
  const search = make("input", { type: "search", placeholder: label, "aria-label": "Search things" });
  const grid = make("div", { class: "grid" });
  const palette = make("div", { class: "palette", hidden: "" }, search, grid);
  const scenes = make("div", { class: "scenes", role: "group", "aria-label": "Scenes to try" });
  const tools = make("div", { class: "tools" }, grounds, make("span", { class: "actions" }, opener, share));

  function draw() {
    const { background, things: given } = scene() ?? { things: [] };
    for (const swatch of grounds.children) swatch.setAttribute("aria-pressed", String(swatch.title === background));
    opener.disabled = given.length >= MOST;
    opener.textContent = opener.disabled ? "Three at most" : "Add a thing";
    if (opener.disabled) unfold(false);
  }

  function unfold(open) {
    if (!open && palette.contains(document.activeElement)) share.focus();
    palette.hidden = !open;
    opener.setAttribute("aria-expanded", String(open));
  }

  function add(emoji) {
    const first = scene() ?? { things: [], background: "green" };
    if (first.things.length >= MOST) return tell("A scene has three things at the most: take one away first.");
    const order = [...first.things, { emoji, x: 0.99, y: 0.5 }];
    onChange({ ...first, things: order.map((thing, index) => ({ ...thing, x: COLUMNS[order.length][index] })) });
  }

  function fill() {
    const wanted = search.value.trim().toLowerCase();
    const found = things.filter((thing) => !wanted || `${thing.name} ${thing.kind} ${thing.emoji}`.includes(wanted));
    grid.replaceChildren(
      ...found.map(({ emoji, name }) => button({ class: "pick", "data-emoji": emoji, title: name, "aria-label": name }, sprite(emoji))),
    );
    if (!found.length) grid.append(make("p", {}, `Nothing here is called “${search.value.trim()}”.`));
  }

  search.addEventListener("input", fill);
  grid.addEventListener("click", (event) => {
    const pick = event.target.closest(".pick");
    if (pick) add(pick.dataset.emoji);
  });
  opener.addEventListener("click", () => {
    unfold(palette.hidden);
    if (!grid.children.length) fill();
    // Where there is no mouse, a keyboard would cover the palette.
    if (!palette.hidden && matchMedia("(pointer: fine)").matches) search.focus({ preventScroll: true });
  });
  for (const [name, colour] of Object.entries(backgrounds)) {
    const swatch = button({ class: "swatch", title: name, "aria-label": name, "aria-pressed": "false", style: `--colour:${colour}` });
    swatch.addEventListener("click", () => {
      if (scene()) onChange({ ...scene(), background: name });
      else tell("A background is behind things: add a thing first.");
    });
    grounds.append(swatch);
  }
  for (const example of examples) {
    const side = sides[example.things.length - 1];
    const edge = (middle) => `${(middle - side / 2) * 100}%`;
    const parts = example.things.map(({ emoji, x, y }) => {
      const part = sprite(emoji);
      part.style.cssText += `;left:${edge(x)};top:${edge(y)};width:${side * 100}%;height:${side * 100}%`;
      return part;
    });
    const names = example.things.map(({ emoji }) => things.find((thing) => thing.emoji === emoji).name).join(", ");
    const pick = button({ class: "scene", "aria-label": `Try: ${names}`, title: names, style: `--colour:${backgrounds[example.background]}` }, ...parts);
    pick.addEventListener("click", () => onChange(structuredClone(example)));
    scenes.append(pick);
  }
  return { parts: [tools, palette, scenes], draw };
}
