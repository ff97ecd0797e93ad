// What stands beside the point that is pointed at: the cell, its name, its strongest trigger.
import { cellOf } from "./atlas-points.js";

export class Tip {
  // state: what the picture is now: points, space, view, ratio
  constructor(frame, state) {
    Object.assign(this, { frame, state, point: -1, known: new Map(), waiting: 0 });
    this.box = document.createElement("div");
    this.box.className = "tip";
    this.box.hidden = true;
  }

  hide() { this.point = -1; this.box.hidden = true; clearTimeout(this.waiting); }

  show(point, touched) {
    if (point === this.point && this.touched === touched) return;
    this.hide();
    if (point < 0) return;
    this.point = point;
    this.touched = touched;
    this.box.classList.toggle("touched", touched);
    const { points, space } = this.state(), number = points.numbers[point];
    this.write(cellOf(space, number), this.known.get(number));
    if (!this.known.has(number)) this.waiting = setTimeout(() => this.ask(number), touched ? 0 : 80);
  }

  async ask(number) {
    try {
      const answer = await fetch(`/atlas/cell.json?number=${number}`);
      if (!answer.ok) return;
      this.known.set(number, await answer.json());
    } catch { return; } // its id is there, which leads to the rest
    const { points, space } = this.state();
    if (this.point >= 0 && points.numbers[this.point] === number) this.write(cellOf(space, number), this.known.get(number));
  }

  write(cell, told) {
    const link = document.createElement("a");
    link.href = `/cells/${cell}`;
    link.textContent = cell;
    const lines = [link];
    const add = (tag, kind, text) => { const made = document.createElement(tag); made.className = kind; made.textContent = text; lines.push(made); return made; };
    if (told?.name) add("span", "called", ` ${told.name.text}`).dir = "auto";
    if (told?.text) {
      const text = add("span", "text", ""), fires = document.createElement("mark");
      text.dir = "auto";
      fires.textContent = told.text[1];
      text.append(told.text[0], fires, told.text[2]);
    } else if (told) add("span", "note", " never active");
    this.box.replaceChildren(...lines);
    this.box.hidden = false;
    this.place();
  }

  place() {
    if (this.point < 0) return;
    const { points, view, ratio } = this.state();
    const x = ((points.places[2 * this.point] - view.x) * view.scale) / ratio;
    const y = this.frame.clientHeight - ((points.places[2 * this.point + 1] - view.y) * view.scale) / ratio;
    const { offsetWidth: width, offsetHeight: height } = this.box;
    this.box.style.left = `${Math.max(4, Math.min(x + 12, this.frame.clientWidth - width - 4))}px`;
    this.box.style.top = `${Math.max(4, y + 14 + height > this.frame.clientHeight ? y - height - 12 : y + 14)}px`;
  }
}
