// Colours of the drawings, from the style sheet: they follow dark and light.

export function theme() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  return {
    ink: get("--ink"),
    quiet: get("--quiet"),
    faint: get("--faint"),
    paper: get("--card"),
    accent: get("--accent"),
    dark: get("--scheme") === "dark",
  };
}

// A colour for each data point, by its direction from the middle of all: neighbours look alike.
export function pointColours(points, dark) {
  const n = points.length / 2;
  let mx = 0, my = 0;
  for (let i = 0; i < n; i++) {
    mx += points[2 * i] / n;
    my += points[2 * i + 1] / n;
  }
  return Array.from({ length: n }, (_, i) => {
    const angle = Math.atan2(points[2 * i + 1] - my, points[2 * i] - mx);
    const hue = n === 1 ? 250 : (angle * 180) / Math.PI + 250;
    return `oklch(${dark ? 0.76 : 0.55} 0.16 ${hue.toFixed(1)})`;
  });
}

// A canvas fitted to its size on the page; returns its context and size in CSS pixels.
export function fitted(canvas) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const { width, height } = canvas.getBoundingClientRect();
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
