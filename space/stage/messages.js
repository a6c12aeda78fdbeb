// What Gradio itself has to say, such as of an upload that is too large, beside what was touched; not over results.
import { make } from "./parts.js";

const ASK = 5_000; // ms between looks at whether the Space is there
const WHO = new URL("gradio_api/app_id", document.baseURI);
const LOST =
  "The connection to the Space is lost. What is here stays; as soon as the Space answers, this page goes on where you were.";
const LOADING =
  "The Space has started anew and its model is loading. What is here stays; as soon as it is ready, this page goes on where you were.";

export function watchMessages() {
  const seen = new WeakSet(); // messages
  let cause = null;
  const line = make("p", { class: "florenz-trouble", role: "alert" });

  for (const kind of ["click", "change", "drop", "keydown"]) {
    addEventListener(kind, (event) => {
      // A button speaks for its form, whose line says what went wrong.
      const form = event.target.closest?.("button.lg")?.closest(".column");
      cause = form?.querySelector(".florenz-line") ?? event.target.closest?.(".block") ?? cause;
      if ((kind !== "keydown" || event.key === "Enter") && event.isTrusted) line.remove();
    }, true);
  }

  function tell(sentence) {
    line.textContent = sentence;
    if (cause?.isConnected) cause.after(line);
    else document.querySelector("#florenz-notice")?.after(line);
  }

  const notice = document.querySelector("#florenz-notice");

  let away = ""; // why nothing can be asked

  function lose(why) {
    if (notice.textContent !== why || notice.hidden) notice.textContent = why;
    notice.hidden = false;
    away = why;
    document.dispatchEvent(new CustomEvent("florenz-lost"));
  }

  // Gradio notices only when something is asked; a busy Space may be slow to answer, and only one that is gone refuses.
  async function knock() {
    if (document.hidden) return;
    const answer = await fetch(WHO, { cache: "no-store" }).catch(() => null);
    if (!answer) return lose(LOST);
    if (answer.status === 503) return lose(LOADING);
    if (!answer.ok) return;
    // Another process has other files: what is here would ask for those that are gone.
    if ((await answer.json()).app_id !== window.gradio_config.app_id) return location.reload();
    if (!away || document.querySelector(".toast-body")) return; // where Gradio has noticed, it loads the page anew
    away = "";
    notice.hidden = true;
    document.dispatchEvent(new CustomEvent("florenz-found"));
  }
  setInterval(knock, ASK);

  // One look at a time: what is told here changes the page, too.
  let looks = false;
  async function look() {
    looks = false;
    // Messages of one kind share a corner, one below another.
    for (const message of document.querySelectorAll(".toast-body [data-testid=toast-text]")) {
      const sentence = message.textContent.trim().replace(/^HTTP \d+: /, "");
      if (!sentence || seen.has(message)) continue;
      seen.add(message);
      if (!away) await knock(); // what has failed may have failed because nobody is there
      if (sentence.startsWith("Connection to the server was lost")) lose(away || LOST);
      else tell(away || sentence);
    }
  }
  new MutationObserver(() => {
    if (looks) return;
    looks = true;
    setTimeout(look, 50);
  }).observe(document.body, { childList: true, subtree: true });
}
