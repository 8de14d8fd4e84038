const MAX_LENGTH = 1024;
// controls (escape sequences begin with one), invisible and direction marks, line separators, halves of pairs
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Text from an artifact, a registry or a file system as one line that a terminal shows and does not obey. */
export function singleLine(text: string): string {
  const cut = text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
  return cut.replaceAll(UNSAFE, '?');
}

/** The same for messages of several lines: what follows the first is indented, so that none can pass for a line of ours. */
export function message(text: string): string {
  return text.split('\n').map(singleLine).join('\n  ');
}

// scripts whose characters take two cells, emoji too; what is counted too wide leaves a gap, what is counted too narrow would wrap
const WIDE = /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6\u{1F000}-\u{3FFFD}]/u;

/** Cells of a terminal that the text takes at most. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) width += WIDE.test(character) ? 2 : 1;
  return width;
}

/** The text in exactly `width` cells: padded, or cut in the middle, since names of files tell most at both ends. */
export function fitTo(text: string, width: number): string {
  const actual = widthOf(text);
  if (actual <= width) return text + ' '.repeat(width - actual);
  const head = firstCells(text, Math.floor((width - 1) / 3));
  const tail = firstCells(reversed(text), width - 1 - widthOf(head));
  const cut = `${head}…${reversed(tail)}`;
  return cut + ' '.repeat(Math.max(0, width - widthOf(cut)));
}

/** The beginning of the text, in at most `width` cells. */
export function cutTo(text: string, width: number): string {
  return widthOf(text) <= width ? text : `${firstCells(text, width - 1)}…`;
}

function firstCells(text: string, width: number): string {
  let cut = '';
  let left = width;
  for (const character of text) {
    left -= widthOf(character);
    if (left < 0) break;
    cut += character;
  }
  return cut;
}

function reversed(text: string): string {
  return Array.from(text).toReversed().join('');
}
