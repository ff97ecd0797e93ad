// What fingers, a mouse and keys do with the picture: move, zoom, draw an outline, point at a cell.
export class Hand {
  // tells: moved(), outlined(corners), pointed(x, y, touch), left(), chose(touch)
  constructor(canvas, tells) {
    Object.assign(this, { canvas, tells, tool: "move", pointers: new Map(), outline: null, dragged: 0 });
    this.whole();
    const on = (name, act, options) => canvas.addEventListener(name, act, options);
    on("pointerdown", (event) => this.down(event));
    on("pointermove", (event) => this.move(event));
    on("pointerup", (event) => this.up(event));
    on("pointercancel", (event) => { this.pointers.delete(event.pointerId); this.outline = null; tells.moved(); });
    on("pointerleave", (event) => { if (event.pointerType === "mouse") tells.left(); });
    on("wheel", (event) => this.wheel(event), { passive: false });
    on("keydown", (event) => this.key(event));
  }

  get scale() { return Math.min(this.canvas.width, this.canvas.height) * this.zoom; }
  get view() {
    const { width, height } = this.canvas;
    return { x: this.x - width / 2 / this.scale, y: this.y - height / 2 / this.scale, scale: this.scale };
  }
  get inView() {
    const view = this.view;
    return [[view.x, view.y], [view.x + this.canvas.width / view.scale, view.y + this.canvas.height / view.scale]];
  }
  whole() { this.x = 0.5; this.y = 0.5; this.zoom = 1; this.touching(); }
  choose(tool) { this.tool = tool; this.touching(); }
  // while all of the picture is seen, one finger scrolls the page
  touching() { this.canvas.style.touchAction = this.tool === "move" && this.zoom <= 1.01 ? "pan-y" : "none"; }

  at(event) {
    const box = this.canvas.getBoundingClientRect(), view = this.view, ratio = this.canvas.width / box.width;
    return [view.x + ((event.clientX - box.left) * ratio) / view.scale, view.y + ((box.bottom - event.clientY) * ratio) / view.scale];
  }
  near(event) { return (event.pointerType === "touch" ? 22 : 10) * (this.canvas.width / this.canvas.getBoundingClientRect().width) / this.scale; }

  zoomBy(factor, about = [this.x, this.y]) {
    const zoom = Math.max(0.8, Math.min(400, this.zoom * factor)), share = this.zoom / zoom;
    this.x = about[0] + (this.x - about[0]) * share;
    this.y = about[1] + (this.y - about[1]) * share;
    this.zoom = zoom;
    this.keep();
  }
  keep() {
    this.x = Math.max(-0.1, Math.min(1.1, this.x));
    this.y = Math.max(-0.1, Math.min(1.1, this.y));
    this.touching();
    this.tells.moved();
  }

  down(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    this.dragged = 0;
    this.outline = this.tool !== "move" && this.pointers.size === 1 ? [this.at(event)] : null;
  }

  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) { this.tells.pointed(...this.at(event), this.near(event), false); return; }
    this.dragged += Math.hypot(event.clientX - before.clientX, event.clientY - before.clientY);
    if (this.pointers.size === 2) this.pinch(before, event);
    else if (this.outline) {
      const here = this.at(event);
      if (this.tool === "rectangle") {
        const [x0, y0] = this.outline[0], [x1, y1] = here;
        this.outline = [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
      } else this.outline.push(here);
      this.tells.moved();
    } else if (this.dragged > 4) {
      const [x0, y0] = this.at(before), [x1, y1] = this.at(event);
      this.x -= x1 - x0;
      this.y -= y1 - y0;
      this.keep();
    }
    this.pointers.set(event.pointerId, event);
  }

  pinch(before, event) {
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    const length = (one) => Math.max(20, Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY));
    this.outline = null;
    this.zoomBy(length(event) / length(before), this.at({ clientX: (event.clientX + other.clientX) / 2, clientY: (event.clientY + other.clientY) / 2 }));
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    const outline = this.outline;
    this.outline = null;
    if (this.dragged <= 4) {
      this.tells.pointed(...this.at(event), this.near(event), event.pointerType !== "mouse");
      this.tells.chose(event);
    } else if (outline && outline.length > 2) this.tells.outlined(outline);
  }

  wheel(event) {
    if (document.activeElement !== this.canvas && !event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    this.zoomBy(Math.exp(-Math.max(-60, Math.min(60, event.deltaY)) / 150), this.at(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = (this.canvas.width / this.scale) * 0.1;
    const acts = {
      ArrowLeft: () => { this.x -= step; this.keep(); }, ArrowRight: () => { this.x += step; this.keep(); },
      ArrowDown: () => { this.y -= step; this.keep(); }, ArrowUp: () => { this.y += step; this.keep(); },
      "+": () => this.zoomBy(1.4), "=": () => this.zoomBy(1.4), "-": () => this.zoomBy(1 / 1.4),
      0: () => { this.whole(); this.tells.moved(); }, Enter: () => this.tells.outlined(this.inView), Escape: () => this.tells.cleared(),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}
