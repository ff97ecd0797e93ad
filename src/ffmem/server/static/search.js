// On the search page: results while they are typed. The page that comes back is the same that a click would bring.
"use strict";
(() => {
  const box = document.getElementById("find");
  const results = document.getElementById("results");
  const fields = document.getElementById("fields");
  let running = null;
  let waiting = 0;
  // What stands below is of an earlier question: it says so, and why.
  const stale = (told) => {
    results.removeAttribute("aria-busy");
    if (told) results.dataset.stale = told; else delete results.dataset.stale;
  };
  const show = async (address, remember) => {
    running?.abort();
    const own = (running = new AbortController());
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" }, signal: own.signal });
      if (answer.redirected) return stale(`Press Enter to open the cell ${box.value.trim()}.`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("results");
      if (!found) return stale(`${page.querySelector(".problem")?.textContent ?? "The explorer could not answer."}`);
      stale("");
      results.replaceChildren(...found.childNodes);
      if (remember) history.pushState(null, "", address); else history.replaceState(null, "", address);
      document.dispatchEvent(new CustomEvent("ffmem:list"));
      if (!fields.contains(document.activeElement)) fields.replaceChildren(...page.getElementById("fields").childNodes);
      document.querySelector("#panel summary").textContent = page.querySelector("#panel summary").textContent;
      document.title = page.title;
      fetchCells();
    } catch (error) {
      if (error.name === "AbortError") return;
      stale("The explorer does not answer. Is it still running? Type again to try once more.");
    }
  };
  // Of a large index the sentences come first: the cells are fetched, and take the place that is kept for them.
  const fetchCells = async () => {
    const place = document.querySelector("#cells-part[data-from]");
    if (!place) return;
    const own = running ?? (running = new AbortController());
    try {
      const answer = await fetch(place.dataset.from, { headers: { accept: "text/html" }, signal: own.signal });
      const found = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("cells-part");
      if (!found) throw new Error("no answer");
      place.replaceWith(found);
      document.dispatchEvent(new CustomEvent("ffmem:list"));
    } catch (error) {
      if (error.name === "AbortError") return;
      place.querySelector("[role=status]").textContent = "The explorer does not answer. Load the page again to try once more.";
    }
  };
  const typed = () => `/search?${new URLSearchParams({ q: box.value })}`;
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => show(typed(), false), 150);
  });
  addEventListener("popstate", () => {
    box.value = new URLSearchParams(location.search).get("q") ?? "";
    show(location.href, false);
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="/search?"]');
    if (!link || link.download || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    box.value = new URL(link.href).searchParams.get("q") ?? "";
    show(link.href, true).then(() => { if (link.rel) document.getElementById("results").scrollIntoView({ block: "start" }); });
  });
  fields.addEventListener("submit", async (event) => {
    event.preventDefault();
    const answer = await fetch(`/search/filter?${new URLSearchParams([...new FormData(fields)].filter(([, value]) => value !== ""))}`).catch(() => null);
    if (!answer?.ok) return stale("The explorer does not answer. Is it still running?");
    box.value = new URL(answer.url).searchParams.get("q") ?? "";
    show(answer.url, true);
  });
  if (!box.value) box.focus();
  fetchCells();
})();
