// Ticks of a list of cells stay while its pages are turned: in this tab alone, until they are kept in a collection or cleared.
"use strict";
(() => {
  const SENT = "ffmem-ticks-sent";
  const store = { // without storage, ticks last as long as the page
    get: (key) => { try { return sessionStorage.getItem(key); } catch { return null; } },
    set: (key, value) => { try { sessionStorage.setItem(key, value); } catch { /* likewise */ } },
    drop: (key) => { try { sessionStorage.removeItem(key); } catch { /* likewise */ } },
  };
  // One list has one question, whichever of its pages is shown, and in whichever order.
  const key = () => {
    const asked = new URLSearchParams(location.search);
    for (const name of ["start", "limit", "sort", "reverse", "show"]) asked.delete(name);
    for (const [name, value] of [...asked]) if (value === "") asked.delete(name);
    asked.sort();
    return `ffmem-ticks ${document.body.dataset.index} ${location.pathname}?${asked}`;
  };
  const read = () => { try { return new Set(JSON.parse(store.get(key()) ?? "[]")); } catch { return new Set(); } };
  const write = (ticked) => { if (ticked.size) store.set(key(), JSON.stringify([...ticked])); else store.drop(key()); };
  const boxes = () => [...document.querySelectorAll(".tick")];
  const elsewhere = (ticked) => { const here = new Set(boxes().map((box) => box.value)); return [...ticked].filter((one) => !here.has(one)); };

  const draw = () => {
    const form = document.getElementById("keep");
    if (!form) return;
    const ticked = read(), n = ticked.size, others = elsewhere(ticked).length;
    form.toggleAttribute("data-ticked", n > 0);
    const words = others ? `${n.toLocaleString("en")} ticked, ${others.toLocaleString("en")} of them on other pages,` : `the ${n.toLocaleString("en")} ticked`;
    form.querySelector(".ticked").textContent = n ? words : "what is ticked";
    form.querySelector(".untick").hidden = !n;
  };
  const restore = () => {
    const ticked = read();
    for (const box of boxes()) box.checked = ticked.has(box.value);
    draw();
  };
  document.addEventListener("change", (event) => {
    if (!event.target.matches?.(".tick")) return;
    const ticked = read();
    if (event.target.checked) ticked.add(event.target.value); else ticked.delete(event.target.value);
    write(ticked);
    draw();
  });
  document.addEventListener("click", (event) => {
    if (!event.target.closest?.(".untick")) return;
    write(new Set());
    restore();
  });
  document.addEventListener("submit", (event) => {
    if (event.target.id !== "keep") return;
    event.target.querySelectorAll("input[name=cells]").forEach((one) => one.remove());
    for (const value of elsewhere(read())) event.target.append(Object.assign(document.createElement("input"), { type: "hidden", name: "cells", value }));
    store.set(SENT, key());
  });
  document.addEventListener("ffmem:list", restore);
  addEventListener("pageshow", () => {
    const sent = store.get(SENT);
    if (sent && !document.getElementById("keep") && location.pathname.startsWith("/collections/")) store.drop(sent); // they are kept
    store.drop(SENT);
    restore();
  });
})();
