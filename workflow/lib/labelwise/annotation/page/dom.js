// Nodes of the page. All that comes from the server or a model is shown as text: nothing is ever parsed as HTML.

export const $ = (id) => document.getElementById(id);

export function make(tag, { role, ...props } = {}, ...children) {
  const node = Object.assign(document.createElement(tag), props);
  if (role) node.setAttribute("role", role);
  node.append(...children);
  return node;
}
