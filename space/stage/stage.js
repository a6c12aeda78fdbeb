// The stage: one picture, what the model says of it in every language, and where it looked for each word.
import { asked, blame, forgive, onReturn, put, readScene, readWord, sceneAsText } from "./address.js";
import { LOST, makeAsking } from "./asking.js";
import { drawLight, places } from "./light.js";
import { watchMessages } from "./messages.js";
import { makePalette } from "./palette.js";
import { button, make, spriteMaker } from "./parts.js";
import { watchPictures } from "./pictures.js";
import { makeSayings } from "./sayings.js";
import { watchTabs } from "./tabs.js";
import { makeThings } from "./things.js";

const OWN = "florenz-own-picture"; // the visitor's own picture and its captions, kept for a reload
const LOOKING = "The model is looking …";

/** Build the stage in what gr.HTML gives to its script. */
export function mount({ element: block, props, watch, trigger }) {
  const element = block.querySelector(".stage");
  const known = props.things ?? [];
  const byEmoji = new Map(known.map((thing, index) => [thing.emoji, { ...thing, index }]));
  const composes = known.length > 0;
  const first = structuredClone(props.value?.scene ?? null);
  let shown = props.value ?? null; // the last finished answer
  let scene = structuredClone(first); // as the visitor has it
  let lit = null; // [row, column]
  let wanted = readWord();
  let touched = false;
  let away = false; // the Space does not answer

  const image = make("img", { alt: "" });
  const canvas = make("canvas", { "aria-hidden": "true" });
  const picture = make("div", { class: "picture" }, image, canvas);
  const readout = make("p", { class: "readout", "aria-live": "polite" });
  const problem = make("p", { class: "problem", role: "alert", hidden: "" });
  const foot = make("p", { class: "foot" });
  const share = button({ class: "share" }, "Copy link");
  const sayings = makeSayings({ names: props.names, onWord, onNever });
  const asking = makeAsking({
    send: (number, quick) => trigger("submit", { scene, quick, number }),
    onBusy: (busy) => element.classList.toggle("busy", busy),
    onLost: () => fail(LOST),
  });
  const shared = { sprite: spriteMaker(props, byEmoji), sides: props.sides, scene: () => scene, onChange: change, tell };
  const things = makeThings({ ...shared, picture, byEmoji, onMove, onTouch: touchAt });
  const palette = makePalette({ ...shared, things: known, backgrounds: props.backgrounds, examples: props.examples, share });
  picture.append(things.box);
  element.replaceChildren(
    make("div", { class: "left" }, picture, readout, problem, ...(composes ? palette.parts : [])),
    make("div", { class: "right" }, sayings.box, foot),
  );

  function tell(sentence) {
    problem.textContent = sentence;
    problem.hidden = !sentence;
  }

  // What was said last stays, and looks like what it is: of another moment.
  function fail(sentence) {
    tell(sentence);
    if (readout.textContent === LOOKING) readout.textContent = "";
    if (!shown) return;
    sayings.draw(shown.sayings);
    element.classList.add("stale");
  }

  function receive() {
    const value = props.value;
    if (!value || typeof value !== "object") return;
    const own = value.asked === undefined || value.asked === null;
    // What the page began with may be handed out again, after the address has named another scene.
    if (value.scene && own) return;
    if (!asking.answered(value.asked, !value.growing)) return;
    if (value.growing) return grow(value.growing);
    if (value.problem) return fail(value.problem);
    // The end of a stream is handed out twice.
    if (value.asked === shown?.asked && value.picture === shown?.picture) return;
    tell("");
    shown = value;
    if (own) keepOwn(value);
    render();
  }

  function keepOwn(value) {
    asking.awaitOwn();
    touched = true;
    scene = null;
    try {
      sessionStorage.setItem(OWN, JSON.stringify({ ...value, sayings: value.sayings.map(({ bytes, ...rest }) => rest) }));
    } catch { /* A browser that keeps nothing loses the picture with a reload. */ }
    put({ picture: "own", scene: null, on: null, word: null }, asked("picture") !== "own");
  }

  function grow(texts) {
    element.classList.remove("stale");
    unlight();
    readout.textContent = LOOKING;
    sayings.grow(texts);
  }

  function render() {
    element.classList.remove("stale");
    image.src = shown.picture;
    image.alt = shown.sayings[0].text;
    things.draw();
    palette.draw();
    sayings.draw(shown.sayings);
    drawFoot();
    light(...(wantedPlace() ?? strongest()));
  }

  function drawFoot() {
    if (!shown) return;
    const anew = away ? "" : "; touch anything and it is written anew";
    foot.replaceChildren(touched ? "" : `Written when this Space started${anew}. `, shown.unknown || overlapping());
    foot.classList.toggle("unknown", Boolean(shown.unknown));
  }

  // The model saw no things that overlap.
  function overlapping() {
    const given = shown.scene?.things ?? [];
    const side = 0.8 * (props.sides[given.length - 1] ?? 1);
    const meet = given.some((one, index) => given.slice(index + 1).some((other) => Math.abs(one.x - other.x) < side));
    return meet ? "In training, things stood side by side: where one is above another, the model may fail." : "";
  }

  // Change the scene: at once on the page, and in words when the model has answered.
  function change(next, remember = true) {
    show(next);
    if (remember) {
      wanted = null;
      put({ ...sceneAsText(scene), picture: null, word: null }, true);
      forgive();
    }
    asking.ask();
  }

  function onMove(next, speaks) {
    show(next);
    if (speaks) asking.ask(true);
  }

  function show(next) {
    scene = next;
    touched = true;
    tell("");
    readout.textContent = LOOKING;
    picture.classList.add("changing");
    picture.style.setProperty("--field", props.backgrounds[scene.background]);
    unlight();
    sayings.unglow();
    things.draw();
    palette.draw();
  }

  function wantedPlace() {
    if (!wanted) return null;
    const [language, column] = wanted;
    const row = shown.sayings.findIndex((saying) => saying.language === language);
    wanted = null;
    if (shown.sayings[row]?.words[column]) return [row, column];
    blame(row < 0 ? `the model does not write “${language.slice(0, 20)}”` : "it lights a word that its caption does not have");
    return null;
  }

  function strongest() {
    const { words } = shown.sayings[0];
    return [0, words.reduce((best, word, column) => (word.strength > words[best].strength ? column : best), 0)];
  }

  function unlight() {
    lit = null;
    sayings.unlight();
    picture.classList.remove("lit");
  }

  function light(row, column) {
    const word = shown.sayings[row].words[column];
    lit = [row, column];
    sayings.unglow();
    sayings.light(row, column);
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
    drawLit();
  }

  const drawLit = () => {
    const now = lit;
    if (now) drawLight(image, canvas, places(shown.sayings[now[0]], now[1]), () => lit === now);
  };

  function onWord(row, column, chosen) {
    if (element.classList.contains("stale") || picture.classList.contains("changing")) return;
    light(row, column);
    if (chosen) put({ word: `${shown.sayings[row].language}.${column}` });
  }

  function onNever() {
    const link = make("a", { href: props.study, target: "_blank", rel: "noopener" }, "The study");
    readout.replaceChildren(props.never, " ", link, ".");
  }

  // Pointing at the picture, or reaching a thing by touch or keyboard: the words that looked there glow.
  function touchAt(x, y) {
    if (!shown || picture.classList.contains("changing")) return;
    sayings.glow(x, y);
    picture.classList.remove("lit");
  }
  function pointAt(event) {
    if (things.dragging()) return;
    const frame = image.getBoundingClientRect();
    touchAt((event.clientX - frame.left) / frame.width, (event.clientY - frame.top) / frame.height);
  }
  function leave() {
    sayings.unglow();
    if (lit && !things.dragging()) picture.classList.add("lit");
  }
  picture.addEventListener("pointermove", (event) => event.pointerType === "mouse" && pointAt(event));
  picture.addEventListener("pointerdown", pointAt);
  picture.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && leave());
  picture.addEventListener("focusout", leave);

  share.addEventListener("click", async () => {
    if (!scene) return tell("A link cannot hold your own picture: it shows scenes alone.");
    put({ ...sceneAsText(scene), picture: null });
    const copied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
    share.textContent = copied ? "Link copied" : "The address is the link";
    setTimeout(() => (share.textContent = "Copy link"), 1500);
  });

  function restore() {
    wanted = readWord();
    const own = asked("picture") === "own" ? recallOwn() : null;
    if (own) {
      asking.awaitOwn();
      shown = own;
      scene = null;
      touched = true;
      return render();
    }
    if (!composes) return;
    const next = readScene(byEmoji, props.backgrounds) ?? first;
    if (JSON.stringify(next) !== JSON.stringify(scene)) change(next, false);
    else if (wanted && shown) light(...(wantedPlace() ?? strongest()));
  }

  function recallOwn() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(OWN));
      if (kept) return kept;
    } catch { /* As good as nothing. */ }
    blame("it shows a picture that somebody uploaded, which a link cannot hold: upload it yourself");
    return null;
  }

  document.addEventListener("florenz-lost", () => {
    away = true;
    asking.stop();
    drawFoot();
  });
  document.addEventListener("florenz-found", () => {
    away = false;
    drawFoot();
  });
  // A picture of one's own takes the place of what was asked before.
  for (const [kind, where] of [["change", "#own"], ["drop", "#own"], ["click", "#own [aria-label*=lipboard]"]]) {
    document.addEventListener(kind, (event) => event.target.closest?.(where) && asking.awaitOwn(), true);
  }
  onReturn(restore);
  new ResizeObserver(drawLit).observe(picture);
  image.addEventListener("load", () => picture.classList.remove("changing"));
  watch("value", receive);
  wanted = null;
  if (shown) render();
  else readout.textContent = "Upload a picture below: what the model says of it appears here, in every language.";
  watchMessages();
  watchPictures();
  setTimeout(() => (watchTabs(), restore()), 50);
}

const percent = (share) => (share < 0.001 ? "under 0.1 %" : `${(share * 100).toFixed(share > 0.995 || share < 0.1 ? 1 : 0)} %`);
