// The picture of (t, x): data in the plane below, time upwards, and every walk as a line between.

import { fitted, theme } from "./colours.js";

export function makeSpace(canvas, onTurn) {
  const view = { yaw: 0.6, pitch: 0.32 };
  let held = null;
  canvas.addEventListener("pointerdown", (event) => {
    held = { x: event.clientX, y: event.clientY, ...view };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held) return;
    turn(held.yaw + (event.clientX - held.x) / 150, held.pitch + (event.clientY - held.y) / 250);
  });
  canvas.addEventListener("pointerup", () => (held = null));
  canvas.addEventListener("pointercancel", () => (held = null));
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.05], ArrowDown: [0, 0.05] }[event.key];
    if (!step) return;
    event.preventDefault();
    turn(view.yaw + step[0], view.pitch + step[1]);
  });
  function turn(yaw, pitch) {
    view.yaw = yaw;
    view.pitch = Math.min(1.2, Math.max(0.06, pitch));
    onTurn();
  }
  return { draw: (scene) => draw(canvas, view, scene) };
}

// scene: points, colours, lines [{ path, colour }], times, at (index into times, a fraction), half.
function draw(canvas, view, { points, colours, lines, times, at, half }) {
  const { context: c, width, height } = fitted(canvas);
  const look = theme();
  const scale = (0.47 * width) / (half * Math.SQRT2), tall = height * 0.8; // corners stay inside
  const [sin, cos, lift] = [Math.sin(view.yaw), Math.cos(view.yaw), Math.sin(view.pitch)];
  const rise = (tall * Math.cos(view.pitch)) / times[0];
  const foot = height * 0.9 - Math.max(0, lift - 0.3) * height * 0.3;
  const place = (x, y, t) => [
    width / 2 + scale * (x * cos - y * sin),
    foot - rise * t + scale * lift * (x * sin + y * cos) * 0.6,
  ];
  plane(c, place, half * 0.98, 0, look.faint, look.quiet);
  const now = timeAt(times, at);
  if (now > times[times.length - 1]) plane(c, place, half * 0.98, now, "transparent", look.accent);
  c.lineWidth = 1;
  c.lineJoin = "round";
  for (const { path, colour } of lines) {
    c.strokeStyle = colour;
    stroke(c, path, times, place, 0, times.length + 1, 0.3);
  }
  for (const { path, colour } of lines) {
    c.fillStyle = colour;
    dot(c, place(...stateAt(path, at), now), 2.6);
  }
  for (let i = 0; i < points.length / 2; i++) {
    c.fillStyle = colours[i];
    c.strokeStyle = look.paper;
    c.lineWidth = points.length > 40 ? 0.8 : 1.5;
    dot(c, place(points[2 * i], points[2 * i + 1], 0), points.length > 40 ? 3 : 4.5, true);
  }
  c.globalAlpha = 1;
  c.fillStyle = look.quiet;
  c.font = "13px system-ui, sans-serif";
  c.fillText("t", 14, foot - rise * times[0] + 4);
  arrow(c, 18, foot, foot - rise * times[0] + 10, look.quiet);
}

function plane(c, place, half, t, fill, edge) {
  const corners = [[-half, -half], [half, -half], [half, half], [-half, half]];
  c.beginPath();
  corners.forEach(([x, y], i) => c[i ? "lineTo" : "moveTo"](...place(x, y, t)));
  c.closePath();
  c.globalAlpha = 0.6;
  c.fillStyle = fill;
  c.fill();
  c.strokeStyle = edge;
  c.lineWidth = 1;
  c.stroke();
  c.globalAlpha = 1;
}

function stroke(c, path, times, place, from, to, alpha) {
  c.globalAlpha = alpha;
  c.beginPath();
  for (let i = from; i < to; i++) {
    const t = i < times.length ? times[i] : 0;
    c[i === from ? "moveTo" : "lineTo"](...place(path[2 * i], path[2 * i + 1], t));
  }
  c.stroke();
  c.globalAlpha = 1;
}

function dot(c, [x, y], radius, edged = false) {
  c.beginPath();
  c.arc(x, y, radius, 0, 2 * Math.PI);
  c.fill();
  if (edged) c.stroke();
}

function arrow(c, x, from, to, colour) {
  c.strokeStyle = c.fillStyle = colour;
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(x, from);
  c.lineTo(x, to);
  c.stroke();
  c.beginPath();
  c.moveTo(x - 3.5, to + 6);
  c.lineTo(x, to - 1);
  c.lineTo(x + 3.5, to + 6);
  c.fill();
}

// The time at a place along the walk, 0 at its end; and the state of a path there.
export function timeAt(times, at) {
  const i = Math.min(Math.floor(at), times.length - 1);
  const next = i + 1 < times.length ? times[i + 1] : 0;
  return times[i] + (at - i) * (next - times[i]);
}

export function stateAt(path, at) {
  const last = path.length / 2 - 1, i = Math.min(Math.floor(at), last - 1), f = Math.min(at - i, 1);
  return [0, 1].map((c) => path[2 * i + c] * (1 - f) + path[2 * i + 2 + c] * f);
}
