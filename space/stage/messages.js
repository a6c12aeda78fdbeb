// What Gradio itself has to say, such as of an upload that is too large, beside what was touched; not over results.
import { make } from "./parts.js";

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

  function lose() {
    const notice = document.querySelector("#florenz-notice");
    notice.textContent = LOST;
    notice.hidden = false;
    document.dispatchEvent(new CustomEvent("florenz-lost"));
  }

  // One look at a time: what is told here changes the page, too.
  let looks = false;
  function look() {
    looks = false;
    for (const toast of document.querySelectorAll(".toast-body")) {
      const sentence = toast.querySelector("[data-testid=toast-text]")?.textContent.trim();
      if (!sentence || seen.has(toast)) continue;
      seen.add(toast);
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
