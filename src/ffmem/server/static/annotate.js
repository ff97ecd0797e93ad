// On the page of a cell to annotate: saves each change, keeps what is not saved yet, keys, undo, and what to do if two tabs differ.
"use strict";
(() => {
  const form = document.getElementById("work");
  if (form.dataset.readOnly) return;
  const address = `${location.pathname}.json`;
  const kept = `ffmem-draft ${form.dataset.index} ${location.pathname}`; // another index may be shown at this address
  const state = document.getElementById("state");
  const undo = document.getElementById("undo");
  const redo = document.getElementById("redo");
  const list = document.getElementById("patterns");
  const triggers = [...document.querySelectorAll("#triggers > li")];
  let revision = Number(form.dataset.revision);
  let timer = 0;
  let saving = null;
  let unsaved = false;
  let current = 0;
  const say = (text, failed = false) => { state.textContent = text; state.classList.toggle("not-saved", failed); };
  const store = (value) => { try { value ? localStorage.setItem(kept, value) : localStorage.removeItem(kept); } catch { /* then the server alone has it */ } };
  const rows = () => [...list.children];
  const read = () => {
    const texts = rows().map((row) => ({ text: row.querySelector("input").value.trim(), class: row.querySelector("select").value }));
    let n = texts.length;
    while (n && !texts[n - 1].text && !texts[n - 1].class) n -= 1;
    const marks = triggers.map((trigger) => [...trigger.querySelectorAll("input")].flatMap((box, i) => (box.checked && i < n ? [i + 1] : [])));
    return { patterns: texts.slice(0, n), marks, done: form.elements.done.checked };
  };
  const addRow = () => {
    const number = list.children.length + 1;
    const row = list.lastElementChild.cloneNode(true);
    row.dataset.pattern = number;
    row.className = "";
    for (const one of row.querySelectorAll("[id]")) { one.id = one.id.replace(/\d+$/, number); one.name = one.id; one.value = ""; }
    for (const one of row.querySelectorAll("label")) { one.htmlFor = one.htmlFor.replace(/\d+$/, number); one.textContent = one.textContent.replace(/\d+/, number); }
    row.querySelector("input").placeholder = `pattern ${number}`;
    row.querySelector(".hint").textContent = "";
    list.append(row);
    triggers.forEach((trigger, i) => {
      const label = trigger.querySelector("label:last-of-type").cloneNode(true);
      const box = label.querySelector("input");
      box.name = `mark-${i + 1}-${number}`;
      box.checked = false;
      label.lastChild.textContent = number;
      trigger.querySelector(".marks").append(label);
    });
  };
  const write = (said) => {
    while (list.children.length < said.patterns.length + 1) addRow();
    rows().forEach((row, i) => {
      row.querySelector("input").value = said.patterns[i]?.text ?? "";
      row.querySelector("select").value = said.patterns[i]?.class ?? "";
    });
    triggers.forEach((trigger, t) => trigger.querySelectorAll("input").forEach((box, i) => { box.checked = (said.marks[t] ?? []).includes(i + 1); }));
    form.elements.done.checked = said.done;
  };
  const hints = (invalid) => rows().forEach((row, i) => {
    const filled = row.querySelector("input").value.trim();
    const few = filled && invalid.includes(i + 1);
    row.classList.toggle("invalid", Boolean(few));
    row.querySelector(".hint").textContent = few ? "in fewer than 3 different triggers" : filled && !row.querySelector("select").value ? "choose a class" : "";
  });
  const settle = (answer) => {
    revision = answer.revision;
    form.elements.revision.value = revision;
    undo.hidden = !answer.can_undo;
    redo.hidden = !answer.can_redo;
    hints(answer.invalid);
  };
  const together = (mine, theirs) => {
    const patterns = [...theirs.patterns];
    const place = mine.patterns.map((one) => {
      const same = patterns.findIndex((other) => other.text === one.text && other.class === one.class);
      return same < 0 ? patterns.push(one) : same + 1;
    });
    const marks = theirs.marks.map((numbers, t) => [...new Set([...numbers, ...mine.marks[t].map((number) => place[number - 1])])]);
    return { patterns, marks, done: false };
  };
  const told = (said) => {
    const carriers = (number) => said.marks.flatMap((numbers, t) => (numbers.includes(number) ? [t + 1] : [])).join(", ");
    const lines = said.patterns.map((one, i) => `${i + 1}. ${one.text || "(no text)"} (${one.class || "no class"}): ${carriers(i + 1) ? `triggers ${carriers(i + 1)}` : "no triggers"}`);
    return [...(lines.length ? lines : ["no patterns"]), said.done ? "done" : "not done"].join("\n");
  };
  const conflict = (answer) => {
    say("Not saved: changed elsewhere.", true);
    const theirs = answer.current;
    document.getElementById("theirs").textContent = told(theirs);
    document.getElementById("mine").textContent = told(read());
    const dialog = document.getElementById("conflict");
    document.getElementById("take-theirs").onclick = () => { dialog.close(); write(theirs); settle(theirs); unsaved = false; store(null); say("Saved."); };
    document.getElementById("keep-mine").onclick = () => { dialog.close(); settle(theirs); save(); };
    document.getElementById("keep-both").onclick = () => { const both = together(read(), theirs); dialog.close(); write(both); settle(theirs); save(); };
    if (!dialog.open) dialog.showModal();
  };
  const send = async (path, method, body) => fetch(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body), keepalive: true });
  const save = async () => {
    clearTimeout(timer);
    if (saving) { const done = await saving; if (!unsaved) return done; }
    unsaved = false;
    say("Saving …");
    saving = (async () => {
      try {
        const answer = await send(address, "PUT", { revision, ...read() });
        const told = await answer.json();
        if (answer.status === 409) { conflict(told); return false; }
        if (!answer.ok) { say(`Not saved: ${told.error?.message ?? "try again."}`, true); return false; }
        settle(told);
        if (!unsaved) store(null);
        say("Saved.");
        return true;
      } catch {
        unsaved = true;
        say("Not saved: the explorer cannot be reached. What you did is kept in this browser, and saved when it is back.", true);
        timer = setTimeout(save, 2000);
        return false;
      }
    })();
    const done = await saving;
    saving = null;
    return done;
  };
  const changed = () => {
    unsaved = true;
    store(JSON.stringify({ revision, ...read() }));
    if (rows().at(-1).querySelector("input").value) addRow();
    clearTimeout(timer);
    timer = setTimeout(save, 500);
  };
  const go = async () => {
    const said = read();
    const half = said.patterns.findIndex((one, i) => (!one.text || !one.class) && (one.text || one.class || said.marks.some((numbers) => numbers.includes(i + 1))));
    if (half >= 0) {
      say(`Not done yet: pattern ${half + 1} has no ${said.patterns[half].text ? "class" : "description"}.`, true);
      rows()[half].querySelector(said.patterns[half].text ? "select" : "input").focus();
      return;
    }
    form.elements.done.checked = true;
    unsaved = true;
    if (!(await save())) return;
    if (form.dataset.next) location.href = location.pathname.replace(/\d+$/, form.dataset.next);
    else say("Saved. This was the last cell.");
  };
  const look = (place) => {
    current = Math.max(0, Math.min(triggers.length - 1, place));
    triggers.forEach((one, i) => one.classList.toggle("current", i === current));
    triggers[current].focus({ preventScroll: true });
    triggers[current].scrollIntoView({ block: "nearest" });
  };
  const step = async (how, told) => {
    if (unsaved || saving) { if (!(await save())) return; }
    try {
      const answer = await send(address.replace(/\.json$/, `/${how}.json`), "POST", { revision });
      const found = await answer.json();
      if (answer.status === 409) { conflict(found); return; }
      if (!answer.ok) { say(found.error.message, true); return; }
      write(found);
      settle(found);
      store(null);
      say(told);
    } catch {
      say("The explorer cannot be reached; try again when it is back.", true);
    }
  };
  const takeBack = () => step("undo", "Undone.");
  const again = () => step("redo", "Done again.");
  form.addEventListener("input", changed);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const next = event.submitter?.value;
    if (next && next !== form.dataset.number) await go();
    else { unsaved = true; await save(); }
  });
  undo.addEventListener("click", takeBack);
  redo.addEventListener("click", again);
  addEventListener("pagehide", () => { if (unsaved) send(address, "PUT", { revision, ...read() }); });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && event.target.matches("input, select")) { event.target.blur(); return; }
    if (event.target.matches("input:not([type=checkbox]), select, textarea") || document.querySelector("dialog[open]")) return;
    const last = () => rows().findLast((row) => row.querySelector("input").value.trim());
    const classed = (name) => { const row = last(); if (row) { row.querySelector("select").value = name; changed(); } };
    const acts = {
      j: () => look(triggers[current].classList.contains("current") ? current + 1 : current), k: () => look(current - 1), u: takeBack, U: again, d: go, ...(event.target.closest("button, a, summary") ? {} : { Enter: go }),
      n: () => { const row = rows().find((one) => !one.querySelector("input").value) ?? (addRow(), list.lastElementChild); row.querySelector("input").focus(); },
      s: () => classed("shallow"), m: () => classed("semantic"),
    };
    if (/^[1-9]$/.test(event.key)) {
      const box = triggers[current].querySelectorAll("input")[Number(event.key) - 1];
      if (box) { box.checked = !box.checked; changed(); }
    } else if (acts[event.key]) acts[event.key]();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }, true);
  undo.hidden = !form.dataset.undo;
  redo.hidden = !form.dataset.redo;
  const left = (() => { try { return JSON.parse(localStorage.getItem(kept) ?? "null"); } catch { return null; } })();
  if (left) { // the browser, or the server, went away before this was saved
    write(left);
    unsaved = true;
    say("Brought back what was not saved.");
    revision = left.revision; // if there is a newer one, that is a conflict, which is shown
    save();
  }
})();
