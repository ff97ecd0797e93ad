// On pages that ask the model: answers in place, while the page stays where it is; and the model is waited for.
"use strict";
(() => {
  const results = document.getElementById("results");
  const form = document.getElementById("ask");
  const path = form.getAttribute("action");
  let running = null;
  const show = async (address, remember) => {
    running?.abort();
    running = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" }, signal: running.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("results");
      if (!found) { results.replaceChildren(...page.getElementById("content").childNodes); results.removeAttribute("aria-busy"); return; }
      results.replaceChildren(...found.childNodes);
      form.replaceChildren(...page.getElementById("ask").childNodes);
      document.title = page.title;
      if (remember) history.pushState(null, "", address);
      results.removeAttribute("aria-busy");
      const hash = new URL(address, location.href).hash.slice(1);
      if (hash) document.getElementById(hash)?.scrollIntoView({ block: "nearest" });
      await loading();
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  const loading = async () => {
    if (document.getElementById("model-state")?.dataset.state !== "loading") return;
    const model = await (await fetch("/model.json")).json();
    if (model.state === "loading") setTimeout(loading, 1500);
    else show(location.href, false);
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const asked = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    show(`${path}?${asked}`, true);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "text") form.requestSubmit();
  });
  results.addEventListener("click", (event) => {
    const link = event.target.closest(`a[href^="${path}?"]`);
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(link.href, true);
  });
  addEventListener("popstate", () => show(location.href, false));
  loading();
})();
