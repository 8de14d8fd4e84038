import type { LineageNode, LineageResult } from '../../operations/tree/tree.ts';
import { cutTo, singleLine } from './plain-text.ts';
import { labelOf } from './tree-text.ts';

const ROW = 52;
const INDENT = 36;
const BOX = { width: 620, height: 40 } as const;
/** Cells that fit into a box. */
const CELLS = { title: 72, facts: 96 } as const;

const COLOURS: Readonly<Record<LineageNode['relation'], string>> = {
  root: '#1f4e9c',
  base: '#1f4e9c',
  member: '#1f4e9c',
  image: '#1f4e9c',
  dataset: '#7a4fa3',
  origin: '#7a4fa3',
  signature: '#2b7a3d',
  attestation: '#2b7a3d',
  sbom: '#2b7a3d',
  promotion: '#8a6100',
  referrer: '#555555',
};

interface Placed {
  readonly node: LineageNode;
  readonly depth: number;
  readonly row: number;
  readonly parentRow: number | undefined;
}

/**
 * A page with one picture, with nothing outside itself: no script, no font, no request, and a policy that forbids them. All text is the
 * artifact's, so none of it gets into the markup unescaped.
 */
export function treeHtml({ reference, digest, truncated, root }: LineageResult): string {
  const placed = place(root);
  const depth = Math.max(...placed.map((one) => one.depth));
  const [width, height] = [depth * INDENT + BOX.width + 20, placed.length * ROW + 20];
  const name = escapeMarkup(singleLine(reference));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${name}</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 24px; color: #222; background: #fff; }
p { color: #555; }
text { font: 13px ui-monospace, monospace; }
</style>
</head>
<body>
<h1>${name}</h1>
<p>${escapeMarkup(digest)}. Nothing in this picture was verified but digests.${truncated ? ' There is more than is shown.' : ''}</p>
<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">
${[...placed.map(edge), ...placed.map(box)].filter((part) => part !== '').join('\n')}
</svg>
</body>
</html>`;
}

/** Each node gets a row, those below it the next ones. */
function place(root: LineageNode): Placed[] {
  const placed: Placed[] = [];
  const add = (node: LineageNode, depth: number, parentRow: number | undefined): void => {
    const row = placed.length;
    placed.push({ node, depth, row, parentRow });
    for (const child of node.children) add(child, depth + 1, row);
  };
  add(root, 0, undefined);
  return placed;
}

function edge({ depth, row, parentRow }: Placed): string {
  if (parentRow === undefined) return '';
  const x = (depth - 1) * INDENT + 24;
  const y = row * ROW + 10 + BOX.height / 2;
  return `<path d="M${x} ${parentRow * ROW + 10 + BOX.height}V${y}H${depth * INDENT + 10}" fill="none" stroke="#999"/>`;
}

function box({ node, depth, row }: Placed): string {
  const [x, y] = [depth * INDENT + 10, row * ROW + 10];
  const { title, facts } = labelOf(node);
  const colour = node.problem === undefined ? COLOURS[node.relation] : '#b00020';
  return [
    `<g><title>${escapeMarkup(`${title}\n${facts}`)}</title>`,
    `<rect x="${x}" y="${y}" width="${BOX.width}" height="${BOX.height}" rx="5" fill="#fff" stroke="${colour}" stroke-width="1.5"/>`,
    `<text x="${x + 10}" y="${y + 17}" fill="${colour}" font-weight="bold">${escapeMarkup(cutTo(title, CELLS.title))}</text>`,
    `<text x="${x + 10}" y="${y + 32}" fill="#444" style="font-size:10px">${escapeMarkup(cutTo(facts, CELLS.facts))}</text></g>`,
  ].join('');
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

function escapeMarkup(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? character);
}
