// The things of a scene on the picture: drag, arrows, take away.
import { button, make } from "./parts.js";

const STEP = 0.06; // of the scene's side, by an arrow
const SPEAK = 250; // ms between two questions of a drag

/** Make the handles. `scene()` gives the scene; `onMove(scene)` follows a drag, `onChange(scene)` ends one;
 * `onTouch(x, y)` tells the middle of a thing that is touched. */
export function makeThings({ picture, byEmoji, sides, sprite, scene, onMove, onChange, onTouch, tell }) {
  const box = make("div", { class: "handles" });
  let dragged = null;
  let spoken = 0;

  function draw() {
    const held = [...box.children].indexOf(document.activeElement);
    const { things } = scene() ?? { things: [] };
    const side = sides[things.length - 1] ?? sides.at(-1);
    const edge = (middle) => `${Math.min(Math.max(middle - side / 2, 0), 1 - side) * 100}%`;
    box.replaceChildren(
      ...things.map((thing, index) => {
        const name = byEmoji.get(thing.emoji)?.name ?? thing.emoji;
        const handle = button({
          class: "handle", "data-index": index, "aria-label": `${name}: drag or press arrows to move, Delete to take away`,
          style: `left:${edge(thing.x)};top:${edge(thing.y)};width:${side * 100}%;height:${side * 100}%`,
        });
        if (byEmoji.has(thing.emoji)) handle.append(sprite(thing.emoji));
        handle.append(make("span", { class: "away", "aria-hidden": "true", title: "Take away" }, "×"));
        return handle;
      }),
    );
    if (held >= 0) box.children[Math.min(held, things.length - 1)]?.focus({ preventScroll: true });
  }

  function without(index) {
    const { things } = scene();
    if (things.length < 2) return tell("A scene has at least one thing: add another one first.");
    onChange({ ...scene(), things: things.filter((_, place) => place !== index) });
  }

  function moved(index, x, y) {
    const clamp = (share) => Math.round(Math.min(Math.max(share, 0), 1) * 1000) / 1000;
    const put = (thing, place) => (place === index ? { ...thing, x: clamp(x), y: clamp(y) } : thing);
    return { ...scene(), things: scene().things.map(put) };
  }

  box.addEventListener("pointerdown", (event) => {
    const handle = event.target.closest(".handle");
    if (!handle || dragged || event.button) return;
    const index = Number(handle.dataset.index);
    if (event.target.closest(".away")) return without(index);
    const { x, y } = scene().things[index];
    dragged = { index, frame: picture.getBoundingClientRect(), x, y, startX: event.clientX, startY: event.clientY, moved: false };
    box.setPointerCapture(event.pointerId);
    onTouch(x, y);
  });
  box.addEventListener("pointermove", (event) => {
    if (!dragged) return;
    const { index, frame, x, y, startX, startY } = dragged;
    if (!dragged.moved && Math.hypot(event.clientX - startX, event.clientY - startY) < 4) return;
    dragged.moved = true;
    const speaks = performance.now() - spoken > SPEAK;
    if (speaks) spoken = performance.now();
    onMove(moved(index, x + (event.clientX - startX) / frame.width, y + (event.clientY - startY) / frame.height), speaks);
    draw();
  });
  function drop() {
    if (!dragged) return;
    const { moved } = dragged;
    dragged = null;
    if (moved) onChange(scene());
  }
  for (const kind of ["pointerup", "pointercancel"]) box.addEventListener(kind, drop);
  box.addEventListener("focusin", (event) => {
    const thing = scene()?.things[event.target.closest(".handle")?.dataset.index];
    if (thing && !dragged) onTouch(thing.x, thing.y);
  });
  box.addEventListener("keydown", (event) => {
    const handle = event.target.closest(".handle");
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!handle) return;
    const index = Number(handle.dataset.index);
    const { x, y } = scene().things[index];
    if (event.key === "Delete" || event.key === "Backspace") without(index);
    else if (step) onChange(moved(index, x + step[0] * STEP, y + step[1] * STEP));
    else return;
    event.preventDefault();
  });
  return { box, draw, dragging: () => dragged !== null };
}
