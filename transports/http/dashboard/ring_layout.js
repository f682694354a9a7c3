// Where things stand in the drawing of the ring. Numbers only.

const WIDE = { width: 670, height: 440, radius: 126 };
const FEW = { width: 440, height: 440, radius: 130 };
const CROWDED = { width: 440, height: 380, radius: 160 };
const NARROW = { width: 340, height: 320, radius: 108 };
const MOST_LABELS = 12;

/** @returns where `count` ranks stand: from the top on, clockwise. */
export function layoutOf(count, isNarrow) {
  const hasLabels = !isNarrow && count <= MOST_LABELS;
  const { width, height, radius } = isNarrow ? NARROW : count <= 2 ? FEW : hasLabels ? WIDE : CROWDED;
  const size = Math.max(7, Math.min(isNarrow ? 24 : 30, (Math.PI * radius * 0.62) / count));
  const cx = width / 2;
  const cy = height / 2;
  const angle = (index) => -Math.PI / 2 + (2 * Math.PI * index) / count;
  return {
    width, height, cx, cy, radius, size, angle,
    gap: (size + 6) / radius,
    hasLabels,
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
