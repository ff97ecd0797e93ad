// The search box of every page: what a half-typed part may become, as a list to choose from by keys or pointer.
"use strict";
(() => {
  const box = document.getElementById("find");
  const list = document.getElementById("find-choices");
  if (!box || !list || document.body.dataset.live !== "yes") return;
  let shown = { start: 0, end: 0, choices: [] };
  let active = -1;
  let running = null;
  let waiting = 0;
  const close = () => {
    running?.abort();
    clearTimeout(waiting);
    list.hidden = true;
    active = -1;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  };
  const mark = (number) => {
    active = number;
    [...list.children].forEach((one, i) => one.setAttribute("aria-selected", String(i === active)));
    if (active < 0) return box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-activedescendant", list.children[active].id);
    list.children[active].scrollIntoView({ block: "nearest" });
  };
  const take = (number) => {
    const choice = shown.choices[number];
    const more = choice.insert.endsWith(":"); // a key, whose value comes next
    const before = box.value.slice(0, shown.start) + choice.insert + (more ? "" : " ");
    box.value = before + box.value.slice(shown.end).trimStart();
    box.setSelectionRange(before.length, before.length);
    close();
    box.dispatchEvent(new Event("input", { bubbles: true }));
    if (!more) close();
  };
  const draw = () => {
    list.replaceChildren(...shown.choices.map((choice, i) => {
      const item = document.createElement("li");
      item.id = `find-choice-${i}`;
      item.setAttribute("role", "option");
      item.setAttribute("aria-selected", "false");
      const text = document.createElement("bdi");
      text.textContent = choice.insert;
      const what = document.createElement("small");
      what.textContent = choice.what;
      item.append(text, " ", what);
      item.addEventListener("pointerdown", (event) => { event.preventDefault(); take(i); });
      return item;
    }));
    active = -1;
    list.hidden = !shown.choices.length;
    box.setAttribute("aria-expanded", String(!list.hidden));
    box.removeAttribute("aria-activedescendant");
  };
  const ask = async () => {
    running?.abort();
    running = new AbortController();
    const asked = box.value;
    try {
      const at = [...asked.slice(0, box.selectionStart)].length; // the server counts characters, not halves of them
      const answer = await fetch(`/search/complete.json?${new URLSearchParams({ q: asked, at })}`, { signal: running.signal });
      if (!answer.ok || asked !== box.value || document.activeElement !== box) return close();
      shown = await answer.json();
      const halves = (n) => [...asked].slice(0, n).join("").length;
      shown = { ...shown, start: halves(shown.start), end: halves(shown.end) };
      draw();
    } catch (error) {
      if (error.name !== "AbortError") close(); // the box works without
    }
  };
  box.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(ask, 120); });
  box.addEventListener("blur", close);
  box.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    const n = shown.choices.length;
    if (event.key === "ArrowDown" && list.hidden) { event.preventDefault(); ask(); return; }
    if (list.hidden) return;
    if (event.key === "ArrowDown") { event.preventDefault(); mark(active + 1 >= n ? -1 : active + 1); }
    else if (event.key === "ArrowUp") { event.preventDefault(); mark(active < 0 ? n - 1 : active - 1); }
    else if ((event.key === "Enter" || event.key === "Tab") && active >= 0) { event.preventDefault(); take(active); }
    else if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); close(); }
    else if (event.key === "Enter") close();
  });
})();
