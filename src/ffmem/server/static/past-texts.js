// Texts that were asked about, kept in this browser alone, until they are forgotten.
"use strict";
(() => {
  const KEY = "ffmem-texts";
  const place = document.getElementById("past");
  const read = () => {
    try { return JSON.parse(localStorage.getItem(KEY) ?? "[]").filter((one) => /^\/(prompt|map|attention|flow)\?/.test(one.href) && one.text); } catch { return []; }
  };
  const write = (texts) => { try { localStorage.setItem(KEY, JSON.stringify(texts)); } catch { /* they are not kept */ } };
  const draw = () => {
    const texts = read();
    place.hidden = !texts.length;
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = `Texts asked about before (${texts.length})`;
    const list = document.createElement("ul");
    list.append(...texts.map((one) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = one.href;
      link.dir = "auto";
      link.textContent = one.text.length > 120 ? `…${one.text.slice(-120)}` : one.text;
      item.append(link);
      return item;
    }));
    const forget = document.createElement("button");
    forget.type = "button";
    forget.textContent = "Forget them";
    forget.addEventListener("click", () => { try { localStorage.removeItem(KEY); } catch { /* there is nothing */ } draw(); });
    details.append(summary, list, forget);
    details.open = place.querySelector("details")?.open ?? false;
    place.replaceChildren(details);
  };
  const keep = () => {
    const text = new URLSearchParams(location.search).get("text");
    if (text && document.querySelector("#results section:not(.examples)")) {
      const here = { text, href: location.pathname + location.search };
      write([here, ...read().filter((one) => one.text !== text)].slice(0, 12));
    }
    draw();
  };
  document.addEventListener("ffmem:answered", keep);
  keep();
})();
