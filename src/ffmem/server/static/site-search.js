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
  const token = (text) => { const code = document.createElement("code"); code.className = "token"; code.textContent = text.replace(/\n/g, "⏎"); return code; };
  let asked = 0;
  const search = async () => {
    const own = (asked += 1);
    const text = box.value.trim().toLowerCase();
    results.replaceChildren();
    if (!text) return;
    const leftOut = [];
    const wanted = text.match(/\S+/g).flatMap((part) => {
      const kind = part.startsWith("promotes:") ? "p" : "t";
      const [words, rest] = ffmemWords(part.replace(/^promotes:/, ""));
      if (rest) leftOut.push(rest);
      return words.map((word) => [kind, word]);
    });
    const lists = await Promise.all(wanted.map(([kind, word]) => cellsOf(kind, word)));
    if (own !== asked) return;
    lists.sort((a, b) => a.length - b.length);
    const sets = lists.slice(1).map((one) => new Set(one));
    const found = (lists[0] ?? []).filter((cell) => sets.every((one) => one.has(cell)));
    const line = document.createElement("p");
    line.className = "lead";
    line.textContent = `${found.length.toLocaleString("en")} cells${found.length > 100 ? ", the first 100 shown" : ""}`;
    const list = document.createElement("ol");
    list.className = "hits";
    const shown = found.slice(0, 100).map(nameOf);
    const summaries = new Map(await Promise.all([...new Set(shown.map((one) => one.place))].map(async (place) => [place, await load(`c-${place}`)])));
    if (own !== asked) return;
    for (const one of shown) {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `cells/${one.layer}/${one.rest}.html`;
      link.textContent = one.name;
      const [fires, ...promoted] = summaries.get(one.place)?.[one.row] ?? [""];
      item.append(link, " fires on ", token(fires), " promotes ", ...promoted.flatMap((each) => [token(each), " "]));
      list.append(item);
    }
    const notes = [];
    if (leftOut.length) notes.push(`Left out: ${leftOut.join(" ")}. Punctuation is not looked for here.`);
    if (!found.length) notes.push("Only whole words are found here, and beginnings that end with a star; parts of words: ffmem search --literal.");
    results.append(line, ...notes.map((text) => { const note = document.createElement("p"); note.className = "note"; note.textContent = text; return note; }), list);
    try { history.replaceState(null, "", `?q=${encodeURIComponent(box.value)}`); } catch { /* some browsers refuse it on pages from disk */ }
  };
  let timer = 0;
  box.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 150); });
  box.value = new URLSearchParams(location.search).get("q") ?? box.value;
  if (box.value) search(); else box.focus();
})();
