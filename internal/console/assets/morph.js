// morph makes an element like another one with as few changes as it can, so that the focus, open menus and animations
// of what stays are kept.
export function morph(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || (old.id ?? "") !== (next.id ?? "")) {
    old.replaceWith(next);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name) && name !== "open" && name !== "title") old.removeAttribute(name);
  for (const { name, value } of next.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  if (old.nodeName === "TIME" && old.dateTime === next.dateTime) return; // the script has written its text
  const wanted = [...next.childNodes];
  const had = [...old.childNodes];
  wanted.forEach((child, i) => { if (i < had.length) morph(had[i], child); else old.append(child); });
  for (const child of had.slice(wanted.length)) child.remove();
}
