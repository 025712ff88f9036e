// Light or dark, set before the page is drawn: so this is no module, which would run later.
(() => {
  "use strict";
  try {
    const theme = localStorage.getItem("ggmlkit.theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage: the system's choice stands.
  }
})();
