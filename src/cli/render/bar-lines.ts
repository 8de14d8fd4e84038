import { cutTo, fitTo, widthOf } from './plain-text.ts';
import { formatBytes } from './text.ts';
import { formatRate, timeLeft, totalParts } from './transfer-text.ts';
import type { Transfer, Transfers } from './transfers.ts';

const MIN_LABEL = 20;
const MIN_BAR = 12;
const MAX_BAR = 40;
const GAP = '  ';

type Column = 'share' | 'bytes' | 'rate' | 'left';
/** From all there is to what even the narrowest terminal shows. */
const LAYOUTS: readonly { readonly hasBar: boolean; readonly columns: readonly Column[] }[] = [
  { hasBar: true, columns: ['share', 'bytes', 'rate', 'left'] },
  { hasBar: true, columns: ['share', 'rate', 'left'] },
  { hasBar: false, columns: ['share', 'rate', 'left'] },
  { hasBar: false, columns: ['share', 'left'] },
  { hasBar: false, columns: ['share'] },
];

/** A line for each blob in flight and one for all, for a terminal of this size: never wider, never higher. */
export function barLines(transfers: Transfers, columns: number, rows: number): string[] {
  // a character in the last column makes some terminals go to the next line
  const width = Math.max(1, columns - 1);
  const all = [...transfers.inFlight.values()];
  const shown = all.length < rows ? all : all.slice(0, Math.max(0, rows - 2));
  const lines = table(shown, width);
  if (shown.length < all.length && rows > 1) lines.push(`… and ${all.length - shown.length} more`);
  const total = totalParts(transfers);
  while (total.length > 1 && total.join(', ').length > width) total.pop();
  lines.push(total.join(', '));
  return lines.map((line) => cutTo(line, width));
}

function table(transfers: readonly Transfer[], width: number): string[] {
  const rows = transfers.map((transfer) => ({ transfer, cells: cellsOf(transfer) }));
  const widthOfColumn = (column: Column): number => Math.max(...rows.map(({ cells }) => cells[column].length));
  const longest = Math.max(...transfers.map(({ label }) => widthOf(label)));
  for (const { hasBar, columns } of LAYOUTS) {
    const used = columns.map((column) => ({ column, width: widthOfColumn(column) })).filter((cell) => cell.width > 0);
    const left = used.reduce((rest, cell) => rest - GAP.length - cell.width, width) - (hasBar ? GAP.length : 0);
    if (left < Math.min(longest, MIN_LABEL) + (hasBar ? MIN_BAR : 0)) continue;
    // a name tells more than a long bar
    const labelWidth = Math.min(longest, hasBar ? left - MIN_BAR : left);
    const barWidth = Math.min(MAX_BAR, left - labelWidth);
    return rows.map(({ transfer, cells }) => {
      const parts = [fitTo(transfer.label, labelWidth)];
      if (hasBar) parts.push(bar(transfer, barWidth));
      for (const cell of used) parts.push(cells[cell.column].padStart(cell.width));
      return parts.join(GAP).trimEnd();
    });
  }
  return transfers.map(({ label }) => fitTo(label, width).trimEnd());
}

function cellsOf({ position, total, rate }: Transfer): Readonly<Record<Column, string>> {
  const bytes = formatBytes(Math.max(0, position));
  return {
    share: total === undefined ? bytes : `${Math.floor(shareOf(position, total) * 100)}%`,
    bytes: total === undefined ? '' : `${bytes}/${formatBytes(total)}`,
    rate: formatRate(rate.perSecond),
    left: timeLeft(position, total, rate.perSecond),
  };
}

function bar({ position, total }: Transfer, width: number): string {
  if (total === undefined) return ' '.repeat(width);
  const inner = width - 2;
  const filled = Math.floor(shareOf(position, total) * inner);
  const done = filled === inner ? '='.repeat(inner) : `${'='.repeat(filled)}>`;
  return `[${done.padEnd(inner)}]`;
}

function shareOf(position: number, total: number): number {
  return total > 0 ? Math.min(1, Math.max(0, position / total)) : 1;
}
