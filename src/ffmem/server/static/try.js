// On the page of a cell: a text of the reader's own, shaded while it is typed, as the server renders it.
"use strict";
(() => {
  const form = document.querySelector("form.try");
  const place = document.getElementById("tried");
  if (!form || !place) return;
  const text = form.elements.text;
  let running = null, waiting = null;
  const say = (words) => {
    const line = document.createElement("p");
    line.className = "problem";
    line.textContent = words;
    place.replaceChildren(line);
  };
  const show = async (address) => {
    running?.abort();
    const mine = running = new AbortController();
    place.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch(address, { headers: { accept: "text/html" }, signal: mine.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const found = page.getElementById("tried");
      if (found) place.replaceChildren(...found.childNodes);
      else say(page.querySelector("main")?.textContent.trim() || "That did not work.");
    } catch (error) {
      if (error.name === "AbortError") return;
      say("The explorer does not answer. What you typed is still here: try again once it runs.");
    }
    if (running === mine) place.removeAttribute("aria-busy");
  };
  const ask = () => {
    clearTimeout(waiting);
    if (text.value) show(`${form.getAttribute("action")}?${new URLSearchParams({ text: text.value })}`);
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
  text.addEventListener("input", () => {
    clearTimeout(waiting);
    const knock = document.querySelector(".knock input[name='text']");
    if (knock) knock.value = text.value;
    waiting = setTimeout(ask, 250);
  });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); }
  });
  form.addEventListener("click", (event) => {
    const link = event.target.closest("a.example");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    text.value = new URL(link.href).searchParams.get("text");
    text.dispatchEvent(new Event("input"));
    ask();
  });
})();
