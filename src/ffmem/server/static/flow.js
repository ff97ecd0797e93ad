// On the flow page: the slider draws at once, arrows go from part to part, and a part and its row are shown together.
"use strict";
(() => {
  const results = document.getElementById("results");
  const nodes = () => [...results.querySelectorAll("svg.flow .node")];
  const nodeOf = (name) => nodes().find((node) => node.dataset.part === name);
  const middle = (node) => { const box = node.querySelector("circle").getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2]; };

  // one stop of the Tab key for the whole picture
  const stop = (chosen) => { for (const node of nodes()) node.setAttribute("tabindex", node === chosen ? "0" : "-1"); };
  let pinned = null;
  const settle = () => {
    const all = nodes();
    if (!all.length || all.some((node) => node.getAttribute("tabindex") === "-1")) return;
    stop(all[0]);
    results.querySelector("#flow-share button").hidden = true;
    if (pinned) { nodeOf(pinned)?.focus(); pinned = null; }
  };
  new MutationObserver(settle).observe(results, { childList: true, subtree: true });
  settle();

  const show = (name) => {
    for (const one of results.querySelectorAll(".same")) one.classList.remove("same");
    const node = name && nodeOf(name);
    if (!node) return;
    for (const one of results.querySelectorAll("[data-part]")) one.classList.toggle("same", one.dataset.part === name);
    results.querySelector("#flow-now").textContent = `${node.getAttribute("aria-label")}.`;
  };
  const part = (event) => event.target.closest("[data-part]")?.dataset.part;
  results.addEventListener("mouseover", (event) => { const name = part(event); if (name) show(name); });
  results.addEventListener("focusin", (event) => {
    const name = part(event);
    if (!name) return;
    show(name);
    const node = event.target.closest("svg .node");
    if (node) stop(node);
  });

  const ways = { ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] };
  const next = (from, [right, down]) => {
    const [x, y] = middle(from);
    let best = null, least = Infinity;
    for (const node of nodes()) {
      if (node === from) continue;
      const [x2, y2] = middle(node);
      const ahead = (x2 - x) * right + (y2 - y) * down, aside = Math.abs((x2 - x) * down) + Math.abs((y2 - y) * right);
      if (ahead > 1 && ahead + 3 * aside < least) { least = ahead + 3 * aside; best = node; }
    }
    return best;
  };
  results.addEventListener("keydown", (event) => {
    const node = event.target.closest("svg.flow .node");
    if (!node || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key in ways) {
      event.preventDefault();
      event.stopPropagation();
      next(node, ways[event.key])?.focus();
    } else if (event.key === "p") {
      event.stopPropagation();
      const name = node.dataset.part;
      const row = [...results.querySelectorAll("tr[data-part]")].find((one) => one.dataset.part === name);
      const link = row?.querySelector("a.act");
      if (link) { pinned = name; link.click(); }
    }
  });

  let waits = 0, asked = null;
  const draw = async (form) => {
    const address = `${form.getAttribute("action")}?${new URLSearchParams(new FormData(form))}`;
    asked?.abort();
    asked = new AbortController();
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" }, signal: asked.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("drawn");
      if (!found) return;
      results.querySelector("#drawn").replaceChildren(...found.childNodes);
      results.querySelector("#how-much").textContent = page.getElementById("how-much").textContent;
      history.replaceState(null, "", address);
    } catch (error) {
      if (error.name === "AbortError") return;
      results.querySelector("#how-much").textContent = "The explorer does not answer. Is it still running? Move the slider to try again.";
    }
  };
  results.addEventListener("input", (event) => {
    if (event.target.id !== "share") return;
    clearTimeout(waits);
    waits = setTimeout(() => draw(event.target.form), 60);
  });
})();
