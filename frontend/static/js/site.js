// What every page has: theme, shortcuts, confirmations, copy buttons.
import { installShortcuts } from "./shortcuts.js";

const THEMES = ["system", "light", "dark"];

function storedTheme() {
  try {
    return localStorage.getItem("theme") ?? "system";
  } catch {
    return "system";
  }
}

function applyTheme(theme, button) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("theme");
    else localStorage.setItem("theme", theme);
  } catch {
    // it lasts for this page only
  }
  button.setAttribute("aria-label", `Theme: ${theme}`);
  button.textContent = { system: "Theme", light: "Light", dark: "Dark" }[theme];
}

const themeButton = document.getElementById("theme");
applyTheme(storedTheme(), themeButton);
themeButton.addEventListener("click", () => {
  applyTheme(THEMES[(THEMES.indexOf(storedTheme()) + 1) % THEMES.length], themeButton);
});

document.addEventListener("submit", (event) => {
  const asked = event.submitter?.dataset.confirm ?? event.target.dataset.confirm;
  if (asked && !window.confirm(asked)) event.preventDefault();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  button.textContent = "Copied";
});

// htmx sends the form token with everything it posts
document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-CSRF-Token"] = document.body.dataset.csrf;
});

installShortcuts();
