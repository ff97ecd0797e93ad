// Changes of cells as chips: what is done with each, a slider from 0 to 3 times, a number; and cells completed as they are typed.
"use strict";
(() => {
  const form = document.getElementById("ask");
  const typing = document.getElementById("add-change");
  if (!typing) return;
  let later = 0;
  const soon = () => { clearTimeout(later); later = setTimeout(() => form.requestSubmit(), 500); };
  const made = (name, part, label, values) => {
    const one = Object.assign(document.createElement(name), values);
    one.dataset.part = part;
    one.setAttribute("aria-label", label);
    return one;
  };
  const enhance = (chip) => {
    const input = chip.querySelector("input[name=change]");
    const parts = /^\s*(@?[^*=+@\s]+)\s*([*=+])\s*([-+]?[\d.]+(?:e[-+]?\d+)?)\s*(@\s*-?\d+)?\s*$/.exec(input.value);
    if (!parts || chip.querySelector(".hint")) return;
    const [, cell, how, amount, at = ""] = parts;
    const choice = made("select", "how", `What is done with ${cell}`);
    for (const [sign, words] of [["*", "times"], ["=", "set to"], ["+", "raised by"]]) choice.add(new Option(words, sign, sign === how, sign === how));
    const slider = made("input", "slider", `${cell}: how many times as strong`, { type: "range", min: 0, max: 3, step: 0.05, value: amount });
    const number = made("input", "number", `${cell}: amount`, { type: "number", step: "any", value: amount });
    const write = () => { input.value = `${cell}${choice.value}${number.value === "" ? 0 : number.value}${at}`; slider.hidden = choice.value !== "*"; soon(); };
    slider.hidden = how !== "*";
    slider.addEventListener("input", () => { number.value = slider.value; write(); });
    number.addEventListener("input", () => { slider.value = number.value; write(); });
    choice.addEventListener("change", write);
    chip.querySelector(".words").replaceChildren(at.trim());
    chip.querySelector(".typed").before(choice, slider, number);
    chip.classList.add("live");
  };
  const all = () => document.querySelectorAll("#chips .chip:not(.live)").forEach(enhance);
  document.addEventListener("ffmem:chips", all);
  all();

  const list = document.getElementById("known-cells");
  let wait = 0;
  typing.addEventListener("input", () => {
    clearTimeout(wait);
    if (/[*=+]/.test(typing.value)) return;
    wait = setTimeout(async () => {
      try {
        const found = await (await fetch(`/prompt/cells.json?q=${encodeURIComponent(typing.value)}`)).json();
        list.replaceChildren(...found.cells.map((one) => new Option(`${one.cell} ${one.called}`.trim(), `${one.cell}*0`)));
      } catch { /* without a server there is nothing to complete */ }
    }, 200);
  });
})();
