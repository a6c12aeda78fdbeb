// What Gradio itself has to say, such as of an upload that is too large, beside what was touched; not over results.
import { make } from "./parts.js";

const ASK = 5_000; // ms between looks at whether the Space is there
const LOST =
  "The connection to the Space is lost. What is here stays; as soon as the Space answers, this page goes on where you were.";

export function watchMessages() {
  const seen = new WeakSet(); // messages
  let cause = null;
  const line = make("p", { class: "florenz-trouble", role: "alert" });

  for (const kind of ["click", "change", "drop", "keydown"]) {
    addEventListener(kind, (event) => {
      cause = event.target.closest?.(".block") ?? cause;
      if (kind !== "keydown" && event.isTrusted) line.remove();
    }, true);
  }

  function tell(sentence) {
    line.textContent = sentence;
    if (cause?.isConnected) cause.after(line);
    else document.querySelector("#florenz-notice")?.after(line);
  }

  const notice = document.querySelector("#florenz-notice");

  const told = () => !notice.hidden && notice.textContent === LOST;

  function lose() {
    if (!told()) notice.textContent = LOST;
    notice.hidden = false;
    document.dispatchEvent(new CustomEvent("florenz-lost"));
  }

  // Gradio notices only when something is asked; a busy Space may be slow to answer, and only one that is gone refuses.
  async function knock() {
    if (document.hidden) return;
    const there = await fetch(import.meta.url, { method: "HEAD", cache: "no-store" }).then(() => true, () => false);
    if (!there) lose();
    else if (told() && !document.querySelector(".toast-body")) notice.hidden = true;
  }
  setInterval(knock, ASK);

  // One look at a time: what is told here changes the page, too.
  let looks = false;
  function look() {
    looks = false;
    // Messages of one kind share a corner, one below another.
    for (const message of document.querySelectorAll(".toast-body [data-testid=toast-text]")) {
      const sentence = message.textContent.trim().replace(/^HTTP \d+: /, "");
      if (!sentence || seen.has(message)) continue;
      seen.add(message);
      if (sentence.startsWith("Connection to the server was lost")) lose();
      else tell(sentence);
    }
  }
  new MutationObserver(() => {
    if (looks) return;
    looks = true;
    setTimeout(look, 50);
  }).observe(document.body, { childList: true, subtree: true });
}
