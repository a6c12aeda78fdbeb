// The open tab, by its name in the address.
import { asked, blame, clip, forgive, onReturn, put } from "./address.js";

const tabs = () => [...document.querySelectorAll("[role=tab]")];
const slug = (tab) => tab.textContent.trim().toLowerCase().replace(/[^a-z]+/g, "-").replace(/-$/, "");

function open(returned) {
  const name = asked("tab");
  // At the start, an address without a tab does not take a visitor back who was faster than this page.
  const wanted = tabs().find((tab) => slug(tab) === name) ?? (returned ? tabs()[0] : undefined);
  if (name && !tabs().some((tab) => slug(tab) === name)) blame(`there is no tab “${clip(name)}”`);
  if (wanted && wanted.getAttribute("aria-selected") !== "true") wanted.click();
}

function remember(tab) {
  put({ tab: tab === tabs()[0] ? null : slug(tab) }, true);
}

export function watchTabs() {
  open(false);
  const chosen = tabs().find((tab) => tab.getAttribute("aria-selected") === "true");
  if (!asked("tab") && chosen) remember(chosen); // by a visitor who was faster than this page
  onReturn(() => open(true));
  addEventListener("click", (event) => {
    const tab = event.isTrusted && event.target.closest?.("[role=tab]");
    if (!tab) return;
    forgive();
    remember(tab);
  });
}
