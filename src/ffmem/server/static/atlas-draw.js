// Draws the points of the picture of all cells: one buffer and one call of WebGL2, or plain squares where there is none.
const VERTEX = `#version 300 es
in vec2 place; in uint tone; in uint mark;
uniform vec3 view; uniform vec2 size; uniform float dot; uniform bool some;
uniform sampler2D palette; out vec4 colour;
void main() {
  vec2 at = (place - view.xy) * view.z / size * 2.0 - 1.0;
  gl_Position = vec4(at, mark > 0u ? -0.5 : tone == 255u ? 0.8 : 0.5, 1.0);
  bool bare = tone == 255u;
  gl_PointSize = mark > 0u ? dot + 2.0 : bare ? dot * 0.75 : dot;
  colour = texelFetch(palette, ivec2(mark > 0u && tone == 255u ? 256 : int(tone), 0), 0);
  colour.a = some && mark == 0u ? 0.16 : 0.85;
}`;
const FRAGMENT = `#version 300 es
precision mediump float; in vec4 colour; out vec4 seen;
void main() {
  if (distance(gl_PointCoord, vec2(0.5)) > 0.5) discard;
  seen = vec4(colour.rgb * colour.a, colour.a);
}`;

export class Drawing {
  constructor(canvas, plain = false) {
    this.canvas = canvas;
    this.places = new Float32Array(); this.tones = new Uint8Array(); this.marks = new Uint8Array();
    this.palette = new Uint8Array(257 * 4);
    this.some = false;
    this.gl = plain ? null : canvas.getContext("webgl2", { antialias: false, preserveDrawingBuffer: true });
    if (this.gl) {
      this.prepare();
      canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
      canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.send(); this.draw(this.view); });
    } else {
      this.flat = canvas.getContext("2d");
    }
  }

  prepare() {
    const gl = this.gl;
    const program = gl.createProgram();
    for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, text);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    gl.useProgram(program);
    this.at = Object.fromEntries(["view", "size", "dot", "some"].map((name) => [name, gl.getUniformLocation(program, name)]));
    this.buffers = {};
    for (const name of ["place", "tone", "mark"]) {
      const place = gl.getAttribLocation(program, name);
      this.buffers[name] = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.enableVertexAttribArray(place);
      if (name === "place") gl.vertexAttribPointer(place, 2, gl.FLOAT, false, 0, 0);
      else gl.vertexAttribIPointer(place, 1, gl.UNSIGNED_BYTE, 0, 0);
    }
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    for (const how of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, how, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.enable(gl.DEPTH_TEST); // what is marked lies above what is not
    gl.depthFunc(gl.LEQUAL);
  }

  // gives any of: places (x, y), tones (a byte each), marks (a byte each), palette (257 colours)
  set(arrays) {
    Object.assign(this, arrays);
    if (this.marks.length !== this.tones.length) this.marks = new Uint8Array(this.tones.length);
    this.some = this.marks.includes(1);
    this.order = null;
    if (this.gl) this.send();
  }

  send() {
    const gl = this.gl;
    for (const [name, data] of [["place", this.places], ["tone", this.tones], ["mark", this.marks]]) {
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      gl.bufferData(gl.ARRAY_BUFFER, data, gl.STATIC_DRAW);
    }
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 257, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, this.palette);
  }

  // view: x, y of the lower left corner, and pixels to the length 1
  draw(view) {
    this.view = view;
    const n = Math.min(this.tones.length, this.places.length / 2);
    const { width, height } = this.canvas;
    if (!n || !width || !height) return;
    const near = view.scale / Math.min(width, height);
    const dot = Math.max(1.5, Math.min(12, (1.4 + 220 / Math.sqrt(n)) * Math.sqrt(near)) * devicePixelRatio);
    if (this.gl) this.drawQuickly(view, n, dot);
    else this.drawPlainly(view, n, dot);
  }

  drawQuickly(view, n, dot) {
    const gl = this.gl;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.uniform3f(this.at.view, view.x, view.y, view.scale);
    gl.uniform2f(this.at.size, this.canvas.width, this.canvas.height);
    gl.uniform1f(this.at.dot, dot);
    gl.uniform1i(this.at.some, this.some ? 1 : 0);
    gl.drawArrays(gl.POINTS, 0, n);
  }

  drawPlainly(view, n, dot) {
    const { width, height } = this.canvas;
    // by mark, then colour, so that the brush changes seldom
    this.order ??= Uint32Array.from({ length: n }, (_, i) => i).sort((a, b) => this.marks[a] - this.marks[b] || (this.tones[b] === 255) - (this.tones[a] === 255) || this.tones[a] - this.tones[b]);
    this.flat.clearRect(0, 0, width, height);
    let before = -1;
    for (const i of this.order) {
      const kind = this.marks[i] * 256 + this.tones[i];
      if (kind !== before) {
        const at = 4 * (this.marks[i] && this.tones[i] === 255 ? 256 : this.tones[i]);
        const [r, g, b] = this.palette.subarray(at, at + 3);
        this.flat.fillStyle = `rgba(${r}, ${g}, ${b}, ${this.some && !this.marks[i] ? 0.16 : 0.85})`;
        before = kind;
      }
      const x = (this.places[2 * i] - view.x) * view.scale;
      const y = height - (this.places[2 * i + 1] - view.y) * view.scale;
      if (x > -dot && y > -dot && x < width + dot && y < height + dot) this.flat.fillRect(x - dot / 2, y - dot / 2, dot, dot);
    }
  }
}

// The colours of a legend, as the style sheet has them now: a scale between its steps, or classes; then that of points
// without one, and the same where they are marked.
export const paletteOf = (isScale, element) => {
  const probe = element.appendChild(document.createElement("i"));
  probe.hidden = true;
  const flat = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    flat.fillStyle = getComputedStyle(probe).color;
    flat.fillRect(0, 0, 1, 1);
    return flat.getImageData(0, 0, 1, 1).data;
  };
  const found = new Uint8Array(257 * 4);
  const steps = Array.from({ length: isScale ? 9 : 8 }, (_, i) => colour(`${isScale ? "v" : "k"}${i}`));
  const other = colour("other");
  for (let i = 0; i < 255; i++) {
    const at = Math.min((i * 8) / 254, 8), low = Math.min(Math.floor(at), 7), share = at - low;
    const rgb = isScale ? [0, 1, 2].map((c) => steps[low][c] * (1 - share) + steps[low + 1][c] * share) : steps[i] ?? other;
    found.set([rgb[0], rgb[1], rgb[2], 255], i * 4);
  }
  found.set(colour("none"), 255 * 4);
  found.set(colour("ink"), 256 * 4);
  probe.remove();
  return found;
};
