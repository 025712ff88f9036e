// The button for light and dark. Until it is used, the page looks as the system does.

import { byId } from "./dom.mjs";

const PLACE = "ggmlkit.theme"; // which theme.js reads

export function startThemeButton(storage) {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const label = () => (button.textContent = isDark() ? "Light" : "Dark");
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    storage.setItem(PLACE, root.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  label();
}
