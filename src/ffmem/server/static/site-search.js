// Search on a site of files: postings come as scripts, since pages from disk may not fetch.
"use strict";
const ffmemShards = new Map();
function ffmemTake(name, value) { ffmemShards.set(name, value); }
const ffmemUnspaced = "(?:(?=[\\p{L}\\p{N}\\p{M}])[\\p{sc=Han}\\p{sc=Hiragana}\\p{sc=Katakana}\\u30fc\\uff70\\p{sc=Bopomofo}\\p{sc=Hangul}\\p{sc=Thai}\\p{sc=Lao}\\p{sc=Khmer}\\p{sc=Myanmar}])";
const ffmemWord = new RegExp(`(${ffmemUnspaced}+)|(?!${ffmemUnspaced})[\\p{L}\\p{N}_](?:(?!${ffmemUnspaced})[\\p{L}\\p{N}\\p{M}_])*\\*?|\\p{S}`, "gu");
// The words of a text, cut as src/ffmem/site/words.py does; of scripts without spaces each two characters in a row. And what is no word.
function ffmemWords(text) {
  const words = [];
  const rest = text.toLowerCase().replace(ffmemWord, (word, run) => {
    const characters = [...(run ?? "")];
    if (characters.length > 1) for (let i = 1; i < characters.length; i += 1) words.push(characters[i - 1] + characters[i]);
    else words.push(word);
    return "";
  });
  return [words, rest.replace(/\s+/gu, "")];
}
const ffmemFirst = new RegExp(`^(?:${ffmemUnspaced}|\\p{S})`, "u");
function ffmemShard(word) { return [...word].slice(0, ffmemFirst.test(word) ? 1 : 2).map((one) => one.codePointAt(0).toString(16)).join("-"); }
(() => {
  const results = document.getElementById("results");
  const box = document.getElementById("find");
  const space = JSON.parse(results.dataset.space);
  const waiting = new Map();
  let most = 100; // shown at a time
  const load = (name) => {
    if (ffmemShards.has(name)) return Promise.resolve(ffmemShards.get(name));
    if (!waiting.has(name)) {
      waiting.set(name, new Promise((resolve) => {
        const script = document.createElement("script");
        script.src = `search/${name}.js`;
        script.onload = () => resolve(ffmemShards.get(name));
        script.onerror = () => resolve(null); // no word begins like this
        document.head.append(script);
      }));
    }
    return waiting.get(name);
  };
  const unpack = (text) => { let last = 0; return text.split(" ").map((one) => (last += parseInt(one, 36))); };
  const cellsOf = async (kind, word) => {
    const beginning = word.endsWith("*");
    const plain = beginning ? word.slice(0, -1) : word;
    if (!plain || (beginning && [...plain].length < 2)) return [];
    const found = await load(`${kind}-${ffmemShard(plain)}`);
    if (!found) return [];
    if (!beginning) return Object.hasOwn(found, plain) ? unpack(found[plain]) : [];
    const all = new Set();
    for (const [name, cells] of Object.entries(found)) if (name.startsWith(plain)) for (const cell of unpack(cells)) all.add(cell);
    return [...all].sort((a, b) => a - b);
  };
  const nameOf = (number) => {
    for (const [place, [layer, size, experts, kept]] of space.entries()) {
      const n = size * Math.max(experts, 1);
      if (number < n) {
        const index = kept ? kept[number % size] : number % size;
        return { place, row: number, name: experts ? `${layer}.e${Math.floor(number / size)}.${index}` : `${layer}.${index}`, layer, rest: experts ? `e${Math.floor(number / size)}.${index}` : `${index}` };
      }
      number -= n;
    }
    return null;
  };
  const kinds = { fires: "f", promotes: "p", named: "n", label: "n", topic: "d" };
  const keys = [...Object.keys(kinds), "layer"];
  // What was typed, in parts: [kind of words, word]; layers; and what is wrong with it.
  const parse = (text) => {
    const asked = { words: [], layers: null, leftOut: [], problem: "" };
    for (const [part, key, quoted, plain] of text.matchAll(/(?:([a-z]+(?:\.[^\s:"]*)?):)(?:"([^"]*)"|(\S*))|"[^"]*"|\S+/gi)) {
      if (key && !keys.includes(key.toLowerCase())) {
        asked.problem = `${key}: is no key here. Expected one of ${keys.map((one) => `${one}:`).join(", ")}; text with a colon stands in quotes.`;
      } else if (key?.toLowerCase() === "layer") {
        asked.layers = layersOf(plain || quoted || "");
        if (!asked.layers) asked.problem = `There is no layer ${plain || quoted}. Expected ${space[0][0]} to ${space.at(-1)[0]}, or a range such as 3:7.`;
      } else {
        const [words, rest] = ffmemWords(key ? quoted ?? plain : part.replaceAll('"', " "));
        if (rest) asked.leftOut.push(rest);
        for (const word of words) asked.words.push([key ? kinds[key.toLowerCase()] : "t", word]);
      }
    }
    return asked;
  };
  const layersOf = (text) => {
    const named = (name) => space.findIndex(([layer]) => layer.toLowerCase() === name.toLowerCase() || layer.toLowerCase() === `l${name}`);
    const [first, end] = text.split(":");
    const from = first === "" ? 0 : named(first);
    const to = end === undefined ? from + 1 : end === "" ? space.length : named(end);
    return from < 0 || to <= from ? null : [from, to];
  };
  const firstOf = (place) => space.slice(0, place).reduce((n, [, size, experts]) => n + size * Math.max(experts, 1), 0);
  const cellNamed = (text) => {
    const match = /^((?:(?:enc|dec)\.)?l\d+(?:\.(?!e\d)[a-z][\w-]+)?)\.(?:e(\d+)\.)?(\d+)$/i.exec(text);
    const place = match ? space.findIndex(([layer]) => layer.toLowerCase() === match[1].toLowerCase()) : -1;
    if (place < 0) return match ? null : undefined;
    const [, size, experts, kept] = space[place];
    const row = kept ? kept.indexOf(Number(match[3])) : Number(match[3]);
    const expert = Number(match[2] ?? 0);
    if (row < 0 || row >= size || (match[2] !== undefined) !== (experts > 0) || expert >= Math.max(experts, 1)) return null;
    return nameOf(firstOf(place) + expert * size + row);
  };
  const cellsFor = async (asked) => {
    const lists = await Promise.all(asked.words.map(([kind, word]) => cellsOf(kind, word)));
    const [from, to] = (asked.layers ?? [0, space.length]).map(firstOf);
    if (!lists.length && asked.layers) return Array.from({ length: to - from }, (_, i) => from + i);
    lists.sort((a, b) => a.length - b.length);
    const sets = lists.slice(1).map((one) => new Set(one));
    return (lists[0] ?? []).filter((cell) => cell >= from && cell < to && sets.every((one) => one.has(cell)));
  };
  const token = (text) => { const code = document.createElement("code"); code.className = "token"; code.textContent = text.replace(/\n/g, "⏎"); return code; };
  const said = (kind, text) => { const line = document.createElement("p"); line.className = kind; line.textContent = text; return line; };
  const addressOf = (one) => `cells/${one.layer}/${one.rest}.html`;
  const linkTo = (one) => { const link = document.createElement("a"); link.href = addressOf(one); link.textContent = one.name; return link; };
  let asking = 0;
  const search = async (open) => {
    const own = (asking += 1);
    const text = box.value.trim();
    if (!text) return results.replaceChildren();
    const cell = cellNamed(text);
    if (cell === null) return results.replaceChildren(said("problem", `There is no cell ${text} here.`));
    if (cell) {
      if (open) return location.replace(addressOf(cell));
      const line = said("lead", "A cell: ");
      line.append(linkTo(cell));
      return results.replaceChildren(line);
    }
    const asked = parse(text);
    if (asked.problem) return results.replaceChildren(said("problem", asked.problem));
    const found = await cellsFor(asked);
    if (own !== asking) return;
    const list = document.createElement("ol");
    list.className = "hits";
    const shown = found.slice(0, most).map(nameOf);
    const summaries = new Map(await Promise.all([...new Set(shown.map((one) => one.place))].map(async (place) => [place, await load(`c-${place}`)])));
    if (own !== asking) return;
    for (const one of shown) {
      const item = document.createElement("li");
      const [fires, ...promoted] = summaries.get(one.place)?.[one.row] ?? [""];
      item.append(linkTo(one), " fires on ", token(fires), " promotes ", ...promoted.flatMap((each) => [token(each), " "]));
      list.append(item);
    }
    const lines = [said("lead", `${found.length.toLocaleString("en")} ${found.length === 1 ? "cell" : "cells"}${found.length > most ? `, the first ${most} shown` : ""}`)];
    if (asked.leftOut.length) lines.push(said("note", `Left out: ${asked.leftOut.join(" ")}. Punctuation is not looked for here.`));
    if (!found.length) lines.push(said("note", "Only whole words are found here, and beginnings that end with a star; parts of words: ffmem search --literal."));
    results.replaceChildren(...lines, list);
    if (found.length > most) {
      const more = document.createElement("button");
      more.type = "button";
      more.textContent = "Show more";
      more.addEventListener("click", () => { most += 100; search(false); });
      results.append(more);
    }
    try { history.replaceState(null, "", `?q=${encodeURIComponent(box.value)}`); } catch { /* some browsers refuse it on pages from disk */ }
  };
  let timer = 0;
  box.addEventListener("input", () => { most = 100; clearTimeout(timer); timer = setTimeout(() => search(false), 150); });
  box.value = new URLSearchParams(location.search).get("q") ?? box.value;
  if (box.value) search(true); else box.focus();
})();
