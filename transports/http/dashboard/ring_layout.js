// Where things stand in the drawing of the ring. Numbers only.

const WIDE = { width: 560, height: 372, radius: 118 };
const NARROW = { width: 340, height: 300, radius: 92 };
const MOST_LABELS = 12;

/** @returns where `count` ranks stand: two side by side, more from the top on, clockwise. */
export function layoutOf(count, isNarrow) {
  const { width, height, radius } = isNarrow ? NARROW : WIDE;
  const size = Math.max(7, Math.min(isNarrow ? 24 : 30, (Math.PI * radius * 0.62) / count));
  const first = count === 2 ? Math.PI : -Math.PI / 2;
  const cx = width / 2;
  const cy = height / 2;
  const angle = (index) => first + (2 * Math.PI * index) / count;
  return {
    width, height, cx, cy, radius, size, angle,
    gap: (size + 6) / radius,
    hasLabels: !isNarrow && count <= MOST_LABELS,
    point(index) {
      const [cos, sin] = [Math.cos(angle(index)), Math.sin(angle(index))];
      return { x: cx + radius * cos, y: cy + radius * sin, cos, sin };
    },
  };
}

/** The path of an arc around the ring's middle, clockwise. */
export function arc({ cx, cy }, radius, from, to) {
  const point = (angle) => `${(cx + radius * Math.cos(angle)).toFixed(1)} ${(cy + radius * Math.sin(angle)).toFixed(1)}`;
  return `M ${point(from)} A ${radius} ${radius} 0 ${to - from > Math.PI ? 1 : 0} 1 ${point(to)}`;
}
