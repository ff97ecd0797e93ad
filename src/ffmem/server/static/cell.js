// On the page of a cell: shades of every token and how flat its value is once the model is there, near cells, and copying.
"use strict";
(() => {
  const fetched = async (address) => {
    const answer = await fetch(address, { headers: { accept: "text/html" } });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  };
  const shade = async () => {
    const line = document.querySelector(".shade-line");
    const link = line?.querySelector("a");
    if (!link) return;
    const model = await (await fetch("/model.json")).json();
    if (model.state === "loading") { setTimeout(shade, 1500); return; }
    if (model.state !== "ready") { line.textContent = `Only firing tokens are marked: ${model.why}.`; return; }
    const page = await fetched(link.href);
    const lists = document.querySelectorAll("ol.triggers");
    page?.querySelectorAll("ol.triggers").forEach((list, number) => {
      list.querySelectorAll(".text").forEach((text, row) => {
        lists[number]?.querySelectorAll(".text")[row]?.replaceChildren(...text.childNodes);
      });
    });
    const flat = document.getElementById("flatness-here");
    const how = flat && (await fetched(flat.querySelector("a").href))?.getElementById("flatness");
    if (how) flat.replaceChildren(...how.childNodes);
    if (page) line.textContent = "Shade, of the first triggers: the coefficient at each token as a share of the cell's largest; point at a token to read it.";
  };
  const near = document.getElementById("similar-cells");
  const show = async (address) => {
    const page = await fetched(address);
    const found = page?.getElementById("similar-cells");
    if (found) near.replaceChildren(...found.childNodes);
  };
  near?.addEventListener("click", (event) => {
    const link = event.target.closest(".choices a");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    show(link.href);
  });
  document.querySelectorAll("button.copy").forEach((button) => {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(document.querySelector(button.dataset.copy).textContent);
        button.textContent = "Copied";
      } catch { button.textContent = "Not copied: select it instead"; }
    });
  });
  shade();
  const first = near?.querySelector(".choices a");
  if (first) show(first.href);
})();
