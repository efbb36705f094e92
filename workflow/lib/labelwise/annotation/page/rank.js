// How well a class fits the words of a search: the lower the better, null where it does not.

export function rank({ id, name, synonyms, definition }, words) {
  const texts = [name, synonyms, definition].map((text) => text.toLowerCase());
  let total = 0;
  for (const word of words) {
    const start = new RegExp(`(^|[^\\p{L}\\p{N}])${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`, "u");
    const at = texts.findIndex((text) => start.test(text));
    if (at >= 0) total += 2 * at;
    else if (texts[0].includes(word)) total += 1;
    else if (String(id) === word) total += 0;
    else return null;
  }
  if (texts[0] === words.join(" ")) total -= 2;
  if (texts[0].startsWith(words.join(" "))) total -= 1;
  return total + texts[0].length / 1000;
}
