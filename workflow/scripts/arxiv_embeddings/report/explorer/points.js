"use strict";
// Drawing many points with WebGL 2, and finding the one below the pointer. Places are 0 to 1 on both axes, y upward.

const VERTEX = `#version 300 es
precision highp float;
in vec2 place;
in vec4 colour;
uniform vec2 centre, factor;
uniform float size;
out vec4 shade;
void main() {
  gl_Position = vec4((place - centre) * factor, 0.0, 1.0);
  gl_PointSize = size;
  shade = colour;
}`;
const FRAGMENT = `#version 300 es
precision highp float;
in vec4 shade;
uniform float size, alpha;
out vec4 result;
void main() {
  float edge = size * (0.5 - length(gl_PointCoord - 0.5));
  if (edge <= 0.0) discard;
  float cover = alpha * min(edge, 1.0);
  result = vec4(shade.rgb * cover, cover);
}`;

class Canvas {
  // places: Uint16Array with x and y of each point in turn.
  constructor(canvas, places) {
    this.canvas = canvas;
    this.places = places;
    const number = places.length / 2;
    // Red, green, blue and unused for each point.
    this.colours = new Uint8Array(4 * number);
    // Points in the order in which they are drawn, and the parts of it: [{ stop, larger, alpha }].
    this.order = new Uint32Array(number);
    this.parts = [];
    this.gl = canvas.getContext("webgl2", { antialias: false, alpha: true });
    if (!this.gl) return;
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    canvas.addEventListener("webglcontextrestored", () => {
      this.start();
      this.upload();
      this.onRestored?.();
    });
    this.start();
  }

  start() {
    const { gl } = this;
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getProgramInfoLog(program));
    }
    gl.useProgram(program);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this.uniforms = {};
    for (const name of ["centre", "factor", "size", "alpha"]) {
      this.uniforms[name] = gl.getUniformLocation(program, name);
    }
    const attribute = (name, parts, type) => {
      const buffer = gl.createBuffer();
      const location = gl.getAttribLocation(program, name);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      gl.enableVertexAttribArray(location);
      gl.vertexAttribPointer(location, parts, type, true, 0, 0);
      return buffer;
    };
    attribute("place", 2, gl.UNSIGNED_SHORT);
    gl.bufferData(gl.ARRAY_BUFFER, this.places, gl.STATIC_DRAW);
    this.colourBuffer = attribute("colour", 4, gl.UNSIGNED_BYTE);
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  }

  // After a change of the colours or the order.
  upload() {
    const { gl } = this;
    if (!gl) return;
    gl.bindBuffer(gl.ARRAY_BUFFER, this.colourBuffer);
    gl.bufferData(gl.ARRAY_BUFFER, this.colours, gl.DYNAMIC_DRAW);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, this.order, gl.DYNAMIC_DRAW);
  }

  // view: { x, y, scale, width, height } in CSS pixels; size: the diameter of a point in CSS pixels.
  draw(view, size) {
    const { gl, canvas, uniforms } = this;
    if (!gl || gl.isContextLost()) return;
    const ratio = window.devicePixelRatio || 1;
    const width = Math.round(view.width * ratio), height = Math.round(view.height * ratio);
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(uniforms.centre, view.x, view.y);
    gl.uniform2f(uniforms.factor, (2 * view.scale) / view.width, (2 * view.scale) / view.height);
    let start = 0;
    for (const { stop, larger, alpha } of this.parts) {
      gl.uniform1f(uniforms.size, (size + larger) * ratio);
      gl.uniform1f(uniforms.alpha, alpha);
      if (stop > start) gl.drawElements(gl.POINTS, stop - start, gl.UNSIGNED_INT, 4 * start);
      start = stop;
    }
  }
}

// The points in cells of a grid, to find the nearest one.
class Grid {
  constructor(places) {
    this.places = places;
    const number = places.length / 2;
    this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(number / 2))));
    this.starts = new Uint32Array(this.side ** 2 + 1);
    const cells = new Uint32Array(number);
    for (let row = 0; row < number; row++) {
      cells[row] = this.cell(places[2 * row] / 65535) + this.side * this.cell(places[2 * row + 1] / 65535);
      this.starts[cells[row] + 1]++;
    }
    for (let cell = 0; cell < this.side ** 2; cell++) this.starts[cell + 1] += this.starts[cell];
    const next = this.starts.slice();
    this.rows = new Uint32Array(number);
    for (let row = 0; row < number; row++) this.rows[next[cells[row]]++] = row;
  }

  cell(coordinate) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(coordinate * this.side)));
  }

  // The nearest point to (x, y), at most `reach` away, among those that `accepts`; -1 if there is none.
  nearest(x, y, reach, accepts) {
    let best = -1, least = reach ** 2;
    for (let j = this.cell(y - reach); j <= this.cell(y + reach); j++) {
      for (let i = this.cell(x - reach); i <= this.cell(x + reach); i++) {
        const cell = i + this.side * j;
        for (let k = this.starts[cell]; k < this.starts[cell + 1]; k++) {
          const row = this.rows[k];
          const distance = (this.places[2 * row] / 65535 - x) ** 2 + (this.places[2 * row + 1] / 65535 - y) ** 2;
          if (distance < least && accepts(row)) {
            best = row;
            least = distance;
          }
        }
      }
    }
    return best;
  }
}
