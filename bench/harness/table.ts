import type { Sample } from './measure.ts';

/** Who a row is about: `ours`, the name of a peer, or what nobody can be faster than. */
export const OURS = 'ours';
export const LIMIT = 'limit';

export interface Columns {
  /** Limits, by step, that every time is compared with. */
  readonly limits?: readonly string[];
  /** Steps of ours that are compared with a peer's step of another name: ours -> the peer's. */
  readonly against?: Readonly<Record<string, string>>;
  /** Steps that move other bytes than the limits do: they are not compared with them. */
  readonly aside?: readonly string[];
}

/** Samples by step and tool, and the table of their medians. */
export class Results {
  readonly #columns: Columns;
  readonly #rows = new Map<string, { step: string; who: string; samples: Sample[] }>();
  readonly #notes = new Map<string, string>();

  constructor(columns: Columns) {
    this.#columns = columns;
  }

  /** Without a sample it says only where the row will be: rows come in the order in which they were first named. */
  add(step: string, who: string, sample?: Sample): void {
    const key = `${step}\n${who}`;
    const row = this.#rows.get(key) ?? { step, who, samples: [] };
    this.#rows.set(key, row);
    if (sample !== undefined) row.samples.push(sample);
  }

  /** A line below the table: what was said first about a subject. */
  note(subject: string, text: string): void {
    if (!this.#notes.has(subject)) this.#notes.set(subject, text);
  }

  /** The table in Markdown, rows of one step together, limits first. */
  render(): string {
    const rows = [...this.#rows.values()].filter(({ samples }) => samples.length > 0);
    const steps = new Set(rows.map(({ step }) => step));
    const peers = new Set(rows.map(({ who }) => who).filter((who) => who !== LIMIT && who !== OURS));
    const limits = (this.#columns.limits ?? []).filter((limit) => this.#samples(limit, LIMIT) !== undefined);
    const counted = rows.some(({ samples }) => samples.some(({ received }) => received !== undefined));
    const head = ['step', 'who', 'seconds', 'range', 'CPU s', 'peak MiB', ...(counted ? ['bytes received', 'requests'] : [])];
    const lines = [[...head, ...limits.map((limit) => `to ${limit}`), ...[...peers].map((peer) => `to ${peer} (CPU)`)]];
    lines.push((lines[0] ?? []).map(() => '---'));
    for (const step of steps) {
      for (const who of [LIMIT, OURS, ...peers]) {
        const samples = this.#samples(step, who);
        if (samples === undefined) continue;
        const cells = [step, who, ...figures(samples), ...(counted ? counts(samples) : [])];
        const isAside = this.#columns.aside?.includes(step) === true;
        cells.push(...limits.map((limit) => (isAside ? '' : ratio(samples, this.#samples(limit, LIMIT), 'seconds'))));
        cells.push(...[...peers].map((peer) => (who === OURS ? this.#toPeer(samples, step, peer) : '')));
        lines.push(cells);
      }
    }
    const notes = [...this.#notes].map(([subject, text]) => `\n${subject}: ${text}\n`).join('');
    return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n${notes}`;
  }

  #toPeer(samples: readonly Sample[], step: string, peer: string): string {
    const theirs = this.#samples(this.#columns.against?.[step] ?? step, peer) ?? this.#samples(step, peer);
    const time = ratio(samples, theirs, 'seconds');
    return time === '' ? '' : `${time} (${ratio(samples, theirs, 'cpu')})`;
  }

  #samples(step: string, who: string): readonly Sample[] | undefined {
    const samples = this.#rows.get(`${step}\n${who}`)?.samples;
    return samples?.length ? samples : undefined;
  }
}

/** The middle of the values, or the mean of the two in the middle; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const half = Math.floor(sorted.length / 2);
  const upper = sorted[half] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? Number.NaN) + upper) / 2;
}

function figures(samples: readonly Sample[]): string[] {
  const seconds = samples.map((sample) => sample.seconds);
  const range = `${fixed(Math.min(...seconds))}-${fixed(Math.max(...seconds))}`;
  const peak = Math.max(...samples.map((sample) => sample.peak));
  return [fixed(median(seconds)), range, fixed(median(samples.map(({ cpu }) => cpu))), Number.isNaN(peak) ? '' : peak.toFixed(0)];
}

function counts(samples: readonly Sample[]): string[] {
  return (['received', 'requests'] as const).map((name) => {
    const value = median(samples.map((sample) => sample[name] ?? Number.NaN));
    return Number.isNaN(value) ? '' : Math.round(value).toLocaleString('en');
  });
}

function ratio(samples: readonly Sample[], to: readonly Sample[] | undefined, figure: 'seconds' | 'cpu'): string {
  if (to === undefined) return '';
  const value = median(samples.map((sample) => sample[figure])) / median(to.map((sample) => sample[figure]));
  return Number.isFinite(value) ? `${value.toFixed(2)}x` : '';
}

function fixed(value: number): string {
  if (Number.isNaN(value)) return '';
  return value.toFixed(value < 1 ? 3 : 2);
}
