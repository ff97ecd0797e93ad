// On the views of a text: answers in place while what is typed stays; a line says what runs, for how long, and what went wrong.
"use strict";
(() => {
  const results = document.getElementById("results");
  const status = document.getElementById("status");
  const form = document.getElementById("ask");
  const path = form.getAttribute("action");
  let running = null;
  let asked = new FormData(form).get("text");
  status.hidden = false;

  const say = (words, kind = "", ...buttons) => {
    status.className = kind;
    status.replaceChildren(words, ...buttons.map(([title, act]) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = title;
      button.addEventListener("click", act);
      return button;
    }));
  };
  const typed = () => Object.fromEntries([...form.elements].filter((one) => one.name && one.type !== "hidden" && !one.closest("#chips")).map((one) => [one.name + (one.id || ""), one.value]));
  const changes = () => JSON.stringify([...form.querySelectorAll("#chips input[name=change]")].map((one) => one.value));
  const address = () => `${path}?${new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""))}`;

  // What was not touched since the question was asked is as the answer has it; what was, stays as it was typed.
  const merge = (page, before) => {
    const other = page.getElementById("ask");
    const now = typed();
    for (const one of form.elements) {
      const key = one.name + (one.id || "");
      if (!(key in before.typed) || now[key] !== before.typed[key] || one.closest("#chips")) continue;
      const answered = [...other.elements].find((each) => each.name === one.name && each.id === one.id && !each.closest("#chips"));
      if (answered) one.value = answered.value;
    }
    if (form.elements.text.value === other.elements.text.value) {
      form.querySelectorAll("input[type=hidden]").forEach((one) => one.remove());
      form.append(...other.querySelectorAll("input[type=hidden]"));
    }
    const chips = document.getElementById("chips");
    if (chips && changes() === before.changes) {
      const focus = document.activeElement?.closest(".chip") && document.activeElement;
      const place = focus && [...chips.children].indexOf(focus.closest(".chip"));
      chips.replaceChildren(...page.getElementById("chips").childNodes);
      if (chips.children.length) chips.closest("details").open = true;
      document.dispatchEvent(new CustomEvent("ffmem:chips"));
      if (focus) chips.children[place]?.querySelector(`[data-part="${focus.dataset.part}"]`)?.focus();
    }
    document.querySelector("nav.views").replaceWith(page.querySelector("nav.views"));
  };
  const put = (page, before) => {
    const scrolled = [...results.querySelectorAll(".from-end")].map((one) => one.scrollLeft);
    merge(page, before);
    results.replaceChildren(...page.getElementById("results").childNodes);
    results.querySelectorAll(".from-end").forEach((one, place) => { one.scrollLeft = scrolled[place] ?? 0; });
    document.title = page.title;
    asked = form.elements.text.value;
  };
  const told = (page, code) => {
    const words = [...(page.getElementById("content")?.querySelectorAll("p") ?? [])].slice(0, 3).map((one) => one.textContent.trim()).filter((one) => one && one !== "Overview");
    return words.join(" ") || `The server answered with error ${code}.`;
  };
  const show = async (where, remember) => {
    running?.controller.abort();
    const mine = { controller: new AbortController(), job: crypto.randomUUID?.() ?? String(Math.random()), began: Date.now() };
    const before = { typed: typed(), changes: changes() };
    const retry = ["Try again", () => show(where, remember)];
    running = mine;
    results.setAttribute("aria-busy", "true");
    follow(mine);
    try {
      const answer = await fetch(where, { headers: { accept: "text/html", "x-ffmem-job": mine.job }, signal: mine.controller.signal });
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (running !== mine) return;
      if (!page.getElementById("results")) { say(told(page, answer.status), "failed", retry); return; }
      put(page, before);
      if (remember) history.pushState(null, "", where);
      say("");
      const hash = new URL(where, location.href).hash.slice(1);
      if (hash) document.getElementById(hash)?.scrollIntoView({ block: "nearest" });
      document.dispatchEvent(new CustomEvent("ffmem:answered"));
    } catch (error) {
      if (running !== mine) return;
      if (error.name === "AbortError") say("Cancelled. What stands below is the answer before.", "", retry);
      else say("The server does not answer; it may have been stopped. What stands below is the answer before.", "failed", retry);
    } finally {
      if (running === mine) { running = null; results.removeAttribute("aria-busy"); }
      if (!running && !status.classList.contains("failed")) loading();
    }
  };
  const cancel = (mine) => {
    fetch(`/model.json?job=${mine.job}`, { method: "DELETE" }).catch(() => {});
    mine.controller.abort();
  };
  // What runs, for how long, and what is before it.
  const follow = async (mine) => {
    await new Promise((done) => setTimeout(done, 400));
    while (running === mine) {
      const seconds = Math.round((Date.now() - mine.began) / 1000);
      let words = `Running: ${seconds} s.`;
      try {
        const model = await (await fetch(`/model.json?job=${mine.job}`)).json();
        if (model.state === "loading") words = `The model is being loaded (${Math.round(model.seconds)} s); the question waits.`;
        else if (model.n_before > 0) words = `Waiting for ${seconds} s: ${model.n_before} before this one; ${model.running} has run for ${Math.round(model.seconds)} s.`;
      } catch { words = `Waiting for ${seconds} s; the server does not say what it does.`; }
      if (running !== mine) return;
      say(words, "", ["Cancel", () => cancel(mine)]);
      await new Promise((done) => setTimeout(done, 1000));
    }
  };
  const loading = async () => {
    if (document.getElementById("model-state")?.dataset.state !== "loading" || running) return;
    try {
      const model = await (await fetch("/model.json")).json();
      if (running) return;
      if (model.state === "loading") { say(`The model is being loaded (${Math.round(model.seconds)} s).`); setTimeout(loading, 1000); }
      else show(location.href, false);
    } catch { say("The server does not answer; it may have been stopped.", "failed", ["Try again", loading]); }
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); show(address(), true); });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.id === "text") form.requestSubmit();
  });
  form.addEventListener("input", (event) => { // of another text, another token and layer
    if (event.target.id === "text" && event.target.value !== asked) form.querySelectorAll("input[type=hidden][name=at], input[type=hidden][name=layer]").forEach((one) => one.remove());
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest(`#results a[href^="${path}?"], #chips a[href^="${path}?"]`);
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    show(link.href, true);
  });
  addEventListener("popstate", () => { form.reset(); show(location.href, false); });
  loading();
})();
