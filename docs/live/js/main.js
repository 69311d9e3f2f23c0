// Tabs and the switch between dark and light; each tab starts when it is first seen.

import { startFieldTab } from "./field-tab.js";

const tabs = [...document.querySelectorAll("[role=tab]")];
let field = null, garments = null;

async function show(tab) {
  for (const each of tabs) {
    const chosen = each === tab;
    each.setAttribute("aria-selected", chosen);
    each.tabIndex = chosen ? 0 : -1;
    document.getElementById(each.getAttribute("aria-controls")).hidden = !chosen;
  }
  history.replaceState(null, "", `#${tab.id.replace("-tab", "")}`);
  if (tab.id === "field-tab") {
    field ??= startFieldTab();
    field.draw();
  } else {
    garments ??= import("./garments-tab.js").then((module) => module.startGarmentsTab());
    try {
      await garments;
    } catch (error) {
      garments = null; // opening the tab again tries again
      const said = document.getElementById("garment-said");
      said.textContent = `The models cannot be loaded (${error.message}); open this tab again`;
      said.classList.add("wrong");
    }
  }
}

tabs.forEach((tab, i) => {
  tab.addEventListener("click", () => show(tab));
  tab.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(i + step + tabs.length) % tabs.length];
    next.focus();
    show(next);
  });
});

const dark = matchMedia("(prefers-color-scheme: dark)");
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : dark.matches;
  root.dataset.theme = isDark ? "light" : "dark";
  document.dispatchEvent(new Event("themechange"));
});

show(tabs.find((tab) => `#${tab.id}` === `${location.hash}-tab`) ?? tabs[0]);
