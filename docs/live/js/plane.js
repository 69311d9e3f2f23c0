// The plane at one time: the density p_t(x), the walkers, and the data points, which can be placed.

import { fitted, theme } from "./colours.js";
import { logDensity } from "./field.js";
import { stateAt, timeAt } from "./space.js";

const CELLS = 96, CELLS_OF_MANY = 48, MANY = 200;
const GRAB = 14, STILL = 6; // pixels: a point is under the pointer; a press that goes further is no click

// edit: { points(), add(x, y), move(index, x, y), remove(index), say(text) }
export function makePlane(canvas, edit) {
  const state = { cursor: null, held: -1, pressed: null, scene: null, sheet: document.createElement("canvas") };
  const on = (name, handler, options) =>
    canvas.addEventListener(name, (event) => state.scene && handler(event), options);
  const toData = (event) => {
    const box = canvas.getBoundingClientRect(), { half } = state.scene;
    const unit = (2 * half) / box.width;
    return inside([(event.clientX - box.left) * unit - half, (box.top + box.height / 2 - event.clientY) * unit], half);
  };
  const nearest = ([x, y]) => {
    const { half } = state.scene, points = edit.points();
    const reach = (GRAB * 2 * half) / canvas.getBoundingClientRect().width;
    let best = -1, least = reach;
    for (let i = 0; i < points.length / 2; i++) {
      const r = Math.hypot(x - points[2 * i], y - points[2 * i + 1]);
      if (r < least) [best, least] = [i, r];
    }
    return best;
  };
  const release = () => Object.assign(state, { held: -1, pressed: null });
  on("pointerdown", (event) => {
    if (event.button || !event.isPrimary) return;
    canvas.setPointerCapture(event.pointerId);
    Object.assign(state, { cursor: null, held: nearest(toData(event)) });
    state.pressed = state.held < 0 ? [event.clientX, event.clientY] : null;
  });
  on("pointermove", (event) => {
    if (state.held >= 0) edit.move(state.held, ...toData(event));
    else if (state.pressed && !still(event, state.pressed)) state.pressed = null;
  });
  on("pointerup", (event) => {
    const click = state.pressed && still(event, state.pressed);
    release();
    if (click) edit.add(...toData(event));
  });
  on("pointercancel", release);
  // A finger scrolls the page, unless it has a point.
  on("touchmove", (event) => state.held >= 0 && event.preventDefault(), { passive: false });
  on("dblclick", (event) => edit.remove(nearest(toData(event))));
  on("contextmenu", (event) => {
    event.preventDefault();
    release();
    edit.remove(nearest(toData(event)));
  });
  on("blur", () => {
    state.cursor = null;
    draw(canvas, state);
  });
  on("keydown", (event) => keys(event, state, canvas, nearest, edit));
  return {
    draw(scene) {
      state.scene = scene;
      draw(canvas, state);
    },
  };
}

const inside = (at, half) => at.map((v) => Math.min(Math.max(v, -half), half));

const still = (event, [x, y]) => Math.hypot(event.clientX - x, event.clientY - y) < STILL;

function keys(event, state, canvas, nearest, edit) {
  const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  const at = state.cursor ?? [0, 0];
  if (move) {
    const step = state.scene.half * (event.shiftKey ? 0.1 : 0.025);
    state.cursor = inside([at[0] + step * move[0], at[1] + step * move[1]], state.scene.half);
    edit.say(`cursor at ${state.cursor.map((v) => v.toFixed(2)).join(", ")}`);
  } else if (event.key === "Enter" || event.key === " ") {
    edit.add(...at);
  } else if (event.key === "Delete" || event.key === "Backspace") {
    edit.remove(nearest(at));
  } else if (event.key === "Escape") {
    state.cursor = null;
  } else return;
  event.preventDefault();
  draw(canvas, state);
}

function draw(canvas, state) {
  const { points, colours, lines, times, at, half, kernel } = state.scene;
  const { context: c, width, height } = fitted(canvas);
  if (!width || !height) return; // its tab is hidden
  const look = theme(), unit = width / (2 * half);
  const place = (x, y) => [width / 2 + x * unit, height / 2 - y * unit];
  const t = Math.max(timeAt(times, at), times[times.length - 1]);
  density(state.sheet, kernel, points, t, half, (half * height) / width, look);
  c.imageSmoothingEnabled = true;
  c.drawImage(state.sheet, 0, 0, width, height);
  const from = Math.max(0, Math.floor(at) - 14);
  for (const { path, colour } of lines) {
    c.strokeStyle = c.fillStyle = colour;
    c.globalAlpha = 0.55;
    c.beginPath();
    for (let i = from; i <= at; i++) c[i === from ? "moveTo" : "lineTo"](...place(path[2 * i], path[2 * i + 1]));
    c.lineTo(...place(...stateAt(path, at)));
    c.stroke();
    c.globalAlpha = 1;
    circle(c, place(...stateAt(path, at)), 3);
    c.fill();
  }
  for (let i = 0; i < points.length / 2; i++) {
    c.fillStyle = colours[i];
    c.strokeStyle = look.paper;
    c.lineWidth = points.length > 40 ? 1.2 : 2;
    circle(c, place(points[2 * i], points[2 * i + 1]), points.length > 40 ? 4 : 5.5);
    c.fill();
    c.stroke();
  }
  if (state.cursor) cross(c, place(...state.cursor), look.ink);
}

// p_t relative to what it exceeds in one cell of a hundred, a square root so that thin tails show: its
// largest value is no measure, some laws being infinite at their data points. But no less than e^-4 of
// that: a narrow law has next to nothing in all but a few cells.
function density(sheet, kernel, points, t, halfX, halfY, look) {
  const columns = points.length > MANY ? CELLS_OF_MANY : CELLS;
  const rows = Math.max(8, Math.round((columns * halfY) / halfX));
  Object.assign(sheet, { width: columns, height: rows });
  const logs = new Float64Array(columns * rows);
  for (let j = 0; j < rows; j++) {
    for (let i = 0; i < columns; i++) {
      const x = ((i + 0.5) / columns) * 2 * halfX - halfX, y = halfY - ((j + 0.5) / rows) * 2 * halfY;
      logs[j * columns + i] = logDensity(kernel, points, x, y, t);
    }
  }
  const sorted = logs.slice().sort(), most = sorted[sorted.length - 1];
  const top = Math.max(sorted[Math.floor(0.99 * logs.length)], most < Infinity ? most - 4 : -Infinity);
  const context = sheet.getContext("2d"), image = context.createImageData(columns, rows);
  const [r, g, b] = look.dark ? [126, 146, 255] : [74, 92, 220];
  for (let k = 0; k < logs.length; k++) {
    const shade = Math.min(1, Math.exp((logs[k] - top) / 2));
    image.data.set([r, g, b, 255 * (look.dark ? 0.62 : 0.5) * shade], 4 * k);
  }
  context.putImageData(image, 0, 0);
}

function circle(c, [x, y], radius) {
  c.beginPath();
  c.arc(x, y, radius, 0, 2 * Math.PI);
}

function cross(c, [x, y], colour) {
  c.strokeStyle = colour;
  c.lineWidth = 1.5;
  c.beginPath();
  for (const [dx, dy] of [[1, 0], [0, 1]]) {
    c.moveTo(x - 10 * dx, y - 10 * dy);
    c.lineTo(x + 10 * dx, y + 10 * dy);
  }
  c.stroke();
}
