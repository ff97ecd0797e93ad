// Points as a place to look in: the nearest to the pointer, those in an outline, and which cell each is.
const SIDE = 128;

export class Points {
  constructor(data) {
    const n = data.byteLength / 12;
    this.n = n;
    this.places = new Float32Array(data, 0, 2 * n);
    this.numbers = new Uint32Array(data, 8 * n, n);
    this.starts = new Uint32Array(SIDE * SIDE + 1); // of each square in a list of points sorted by square
    const square = new Uint32Array(n);
    for (let i = 0; i < n; i++) {
      square[i] = cut(this.places[2 * i + 1]) * SIDE + cut(this.places[2 * i]);
      this.starts[square[i] + 1]++;
    }
    for (let i = 0; i < SIDE * SIDE; i++) this.starts[i + 1] += this.starts[i];
    this.sorted = new Uint32Array(n);
    const next = this.starts.slice();
    for (let i = 0; i < n; i++) this.sorted[next[square[i]]++] = i;
  }

  // the nearest point within a distance; -1 if there is none
  nearest(x, y, most) {
    let found = -1, best = most * most;
    for (let row = cut(y - most); row <= cut(y + most); row++) {
      for (let column = cut(x - most); column <= cut(x + most); column++) {
        const square = row * SIDE + column;
        for (let at = this.starts[square]; at < this.starts[square + 1]; at++) {
          const i = this.sorted[at];
          const away = (this.places[2 * i] - x) ** 2 + (this.places[2 * i + 1] - y) ** 2;
          if (away <= best) { best = away; found = i; }
        }
      }
    }
    return found;
  }

  // a byte for each point: whether it lies in an outline, by the rule that the server has
  within(corners) {
    const found = new Uint8Array(this.n), n = corners.length, xs = new Float64Array(n + 1), ys = new Float64Array(n + 1);
    for (let k = 0; k <= n; k++) [xs[k], ys[k]] = corners[k % n];
    const left = Math.min(...xs), right = Math.max(...xs), low = Math.min(...ys), high = Math.max(...ys);
    for (let i = 0; i < this.n; i++) {
      const x = this.places[2 * i], y = this.places[2 * i + 1];
      if (x < left || x > right || y < low || y > high) continue;
      let odd = 0;
      for (let k = 0; k < n; k++) {
        if (ys[k] > y !== ys[k + 1] > y && x < ((xs[k + 1] - xs[k]) * (y - ys[k])) / (ys[k + 1] - ys[k]) + xs[k]) odd ^= 1;
      }
      found[i] = odd;
    }
    return found;
  }
}

const cut = (value) => Math.max(0, Math.min(SIDE - 1, Math.floor(value * SIDE)));

export const cornersOf = (text) => {
  const numbers = text.split(",").map(Number);
  const corners = [];
  for (let i = 0; i + 1 < numbers.length; i += 2) corners.push([numbers[i], numbers[i + 1]]);
  if (corners.length !== 2) return corners;
  const [[x0, y0], [x1, y1]] = corners;
  return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
};

// an address holds some hundred corners, each with four digits
export const outlineOf = (corners) => {
  const step = Math.ceil(corners.length / 200);
  return corners.filter((_, i) => i % step === 0).map(([x, y]) => `${+x.toFixed(4)},${+y.toFixed(4)}`).join(",");
};

// the id of a cell, from its number
export const cellOf = (space, number) => {
  let rest = number;
  for (const [name, size, experts, kept] of space.layers) {
    const n = size * Math.max(experts, 1);
    if (rest < n) {
      const row = rest % size;
      return `${name}${experts ? `.e${Math.floor(rest / size)}` : ""}.${kept ? kept[row] : row}`;
    }
    rest -= n;
  }
  return "";
};
