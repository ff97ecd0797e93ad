// On the search page: results while they are typed. The page that comes back is the same that a click would bring.
"use strict";
(() => {
  const box = document.getElementById("find");
  const results = document.getElementById("results");
  let running = null;
  let waiting = 0;
  const search = async () => {
    running?.abort();
    running = new AbortController();
    const address = `/search?${new URLSearchParams({ q: box.value })}`;
    results.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" }, signal: running.signal });
      if (answer.redirected || !answer.ok) return; // a cell's id: Enter goes there
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      results.replaceChildren(...page.getElementById("results").childNodes);
      document.title = page.title;
      history.replaceState(null, "", address);
      results.removeAttribute("aria-busy");
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    }
  };
  box.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(search, 150);
  });
  if (!box.value) box.focus();
})();
