import type { ByteRange, Bytes } from '../blob-source.ts';
import type { CallOptions } from '../events.ts';
import type { Sleep } from './options.ts';
import type { RangeBudget } from './range-budget.ts';
import type { TransientError } from './transient.ts';

/** The requests for one blob or file, as a whole or by range: what a download over one or several connections is made of. */
export interface RangeParts {
  readonly context: { readonly http: { readonly rangeBudget: RangeBudget; readonly sleep: Sleep } };
  /** `digest` names it in events. */
  readonly blob: { readonly digest: string };
  readonly call: CallOptions;
  /** False when an answer has shown that there are none. */
  readonly hasRanges: boolean;
  /** The bytes of `range`, retried. An answer that ignores the range is cut to it. */
  open(range: ByteRange): Promise<Bytes>;
  /** The same in one attempt, for those who count themselves. */
  reopen(range: ByteRange): Promise<Bytes>;
  /** One attempt at the bytes of `range`; undefined when the server does not keep to it. */
  openExactly(range: ByteRange, call: CallOptions): Promise<Bytes | undefined>;
  /** What is thrown when the bytes end early. */
  cutOff(position: number, end: number): TransientError;
}
