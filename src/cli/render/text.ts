import { stringifyExact } from '../../oci/json.ts';
import { stderrStream } from './stderr.ts';
import { writeStdout } from './stdout.ts';

/** Data for stdout, nothing else goes there: as JSON when the user asked for it, else as lines. */
export function printResult(format: string | undefined, data: unknown, lines: readonly string[]): void {
  const text = format === 'json' ? stringifyExact(data, 2) : lines.join('\n');
  if (format === 'json' || lines.length > 0) writeStdout(`${text}\n`);
}

/** Messages for people. */
export function printMessage(line: string): void {
  stderrStream().write(`${line}\n`);
}

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB'] as const;

/** Bytes as kit shows them: cut, not rounded, to one digit; whole PiB beyond. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  let value = bytes;
  for (const unit of UNITS) {
    value /= 1024;
    if (value < 1024) return `${(Math.floor(value * 10) / 10).toFixed(1)} ${unit}`;
  }
  return `${(value / 1024).toFixed(1)} PiB`;
}

/** Columns padded to their widest cell with three spaces between; the last one is not padded. */
export function formatTable(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = [];
  for (const row of rows) for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, width(cell));
  return rows.map((row) =>
    row.map((cell, column) => (column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - width(cell) + 3))).join(''),
  );
}

function width(cell: string): number {
  // code points, as Go's tabwriter counts
  return Array.from(cell).length;
}
