// On every page: light or dark, and keys. Pages read without it.
"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.querySelector("button.theme");
  const stored = (() => { try { return localStorage.getItem("ffmem-theme"); } catch { return null; } })();
  if (stored) root.dataset.theme = stored;
  if (theme) {
    theme.hidden = false;
    theme.addEventListener("click", () => {
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      try { localStorage.setItem("ffmem-theme", root.dataset.theme); } catch { /* it lasts as long as the page */ }
    });
  }
  const hint = document.querySelector(".keys-hint");
  if (hint) hint.hidden = false;
  const follow = (selector) => { const link = document.querySelector(selector); if (link) location.href = link.href; };
  const keys = {
    "/": () => document.getElementById("find")?.focus(),
    "?": () => document.getElementById("keys")?.showModal(),
    "o": () => follow("a.home"),
    "*": () => document.getElementById("collect-name")?.focus(),
    "ArrowLeft": () => follow('a[rel="prev"]'),
    "ArrowRight": () => follow('a[rel="next"]'),
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    const act = keys[event.key];
    if (!act || (event.key.startsWith("Arrow") && event.target.closest("[tabindex='0']"))) return;
    event.preventDefault();
    act();
  });
})();
