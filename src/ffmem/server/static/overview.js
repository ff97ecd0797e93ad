// The overview while its first cells are being chosen: they come by themselves, into the room that is kept for them.
"use strict";
(() => {
  const EVERY_MS = 1000, FOR_MS = 600_000;
  const began = Date.now();
  const waiting = () => [...document.querySelectorAll("section.waiting[id]")];
  const look = async () => {
    let told = "";
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const place of answer.ok ? waiting() : []) {
        const found = page.getElementById(place.id);
        if (found?.classList.contains("waiting")) continue;
        const height = place.getBoundingClientRect().height;
        place.replaceChildren(...(found?.childNodes ?? []));
        place.classList.remove("waiting");
        place.style.minHeight = found ? `${height}px` : "";
      }
    } catch { told = "The server does not answer; it may have been stopped."; }
    if (!waiting().length) return;
    if (Date.now() - began >= FOR_MS) told = "This takes longer than expected. Load the page again later.";
    else setTimeout(look, EVERY_MS);
    const line = document.getElementById("choosing");
    if (line && told) line.textContent = told;
  };
  setTimeout(look, EVERY_MS);
})();
