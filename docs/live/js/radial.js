// The radial law: the density of the radius r = |x_t - alpha x_0| at the time shown, d psi / dr.

import { fitted, theme } from "./colours.js";

const SAMPLES = 240;

export function drawRadial(canvas, { kernel, t, half }) {
  const { context: c, width, height } = fitted(canvas);
  const look = theme(), pad = { left: 14, right: 14, top: 16, bottom: 30 };
  const most = Math.max(half, kernel.psiInverse(0.8, t) * 1.3);
  const values = Array.from({ length: SAMPLES }, (_, i) => {
    const r = (most * (i + 0.5)) / SAMPLES;
    return [r, Math.exp(kernel.logRadius(r, t))];
  });
  const top = Math.max(...values.map(([, v]) => v));
  const place = (r, v) => [
    pad.left + ((width - pad.left - pad.right) * r) / most,
    height - pad.bottom - ((height - pad.top - pad.bottom) * v) / top,
  ];
  const [x0, y0] = place(0, 0);
  c.beginPath();
  c.moveTo(x0, y0);
  for (const [r, v] of values) c.lineTo(...place(r, v));
  c.lineTo(...place(most, 0));
  c.closePath();
  c.fillStyle = look.accent;
  c.globalAlpha = 0.18;
  c.fill();
  c.globalAlpha = 1;
  c.beginPath();
  values.forEach(([r, v], i) => c[i ? "lineTo" : "moveTo"](...place(r, v)));
  c.strokeStyle = look.accent;
  c.lineWidth = 2;
  c.stroke();
  axis(c, [x0, y0], place(most, 0), look);
  const median = kernel.psiInverse(0.5, t), outside = 1 - kernel.psi(most, t);
  const [mx] = place(median, 0);
  c.setLineDash([3, 3]);
  c.strokeStyle = look.ink;
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(mx, y0);
  c.lineTo(mx, pad.top);
  c.stroke();
  c.setLineDash([]);
  c.fillStyle = look.ink;
  c.font = "12px system-ui, sans-serif";
  const right = mx > width * 0.6;
  c.textAlign = right ? "right" : "left";
  c.fillText(`median ${short(median)}`, mx + (right ? -6 : 6), pad.top + 4);
  c.fillStyle = look.quiet;
  c.textAlign = "left";
  c.fillText("0", x0 - 3, height - 10);
  c.textAlign = "right";
  c.fillText(`r = ${short(most)}`, width - pad.right, height - 10);
  c.textAlign = "center";
  c.fillText(`${outside < 1e-5 ? "less than 0.001" : (100 * outside).toPrecision(2)} % lies beyond`, width / 2, height - 10);
  c.textAlign = "left";
  return { median, outside };
}

function axis(c, from, to, look) {
  c.strokeStyle = look.quiet;
  c.lineWidth = 1;
  c.beginPath();
  c.moveTo(...from);
  c.lineTo(...to);
  c.stroke();
}

export const short = (value) => (value >= 1000 || value < 0.01 ? value.toExponential(1) : Number(value.toPrecision(3)).toString());
