// Makes elements. What runners, clients and models wrote becomes text nodes only, never markup.

const SVG = "http://www.w3.org/2000/svg";

function filled(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** An HTML element; strings among the children become text. */
export function el(tag, properties = {}, ...children) {
  return filled(document.createElement(tag), properties, children);
}

/** An SVG element. */
export function svg(tag, properties = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), properties, children);
}

/** Write text only when it has changed: what did not change is not announced, and not selected away. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/**
 * Let `parent` hold one child for each item, in order. A child stays the same element, and one that keeps its neighbours
 * is not moved either: what is moved loses the focus and the selection.
 *
 * @param {(item: object) => string} keyOf names an item
 * @param {(item: object) => Element} make makes its element
 * @param {(node: Element, item: object) => void} update brings it up to date
 */
export function keep(parent, items, keyOf, make, update) {
  const keys = items.map((item) => String(keyOf(item)));
  const wanted = new Set(keys);
  const known = new Map();
  for (const node of [...parent.children]) {
    if (wanted.has(node.dataset.key) && !known.has(node.dataset.key)) known.set(node.dataset.key, node);
    else node.remove();
  }
  let place = parent.firstElementChild;
  items.forEach((item, index) => {
    const key = keys[index];
    let node = known.get(key);
    known.delete(key);
    if (node === undefined) {
      node = make(item);
      node.dataset.key = key;
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  });
}

export const movesLittle = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
