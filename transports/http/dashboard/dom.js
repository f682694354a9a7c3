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
 * Let `parent` hold one child for each item, in order. Children stay the same elements, so that focus stays in them.
 *
 * @param {(item: object) => string} keyOf names an item
 * @param {(item: object) => Element} make makes its element
 * @param {(node: Element, item: object) => void} update brings it up to date
 */
export function keep(parent, items, keyOf, make, update) {
  const known = new Map([...parent.children].map((node) => [node.dataset.key, node]));
  let place = parent.firstElementChild;
  for (const item of items) {
    const key = String(keyOf(item));
    let node = known.get(key);
    if (node === undefined) {
      node = make(item);
      node.dataset.key = key;
    } else {
      known.delete(key);
    }
    if (node === place) place = place.nextElementSibling;
    else parent.insertBefore(node, place);
    update(node, item);
  }
  for (const node of known.values()) node.remove();
}

export const movesLittle = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
