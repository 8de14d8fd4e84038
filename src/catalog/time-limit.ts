import { createContext, Script } from 'node:vm';
import { KitError } from '../errors.ts';

/** Far more than any sound expression takes for the documents of one batch. */
export const MAX_EVALUATION_MS = 10_000;

const script = new Script('work()');

/**
 * Runs `work`, which is synchronous, and breaks it off when it takes too long: regular expressions may backtrack for ever, and a JSONPath
 * may nest descents. Costs about a third of a millisecond: to be called for many documents at once.
 * @throws KitError QUERY_INVALID
 */
export function withTimeLimit(work: () => void, what: string, limitMs = MAX_EVALUATION_MS): void {
  try {
    script.runInContext(createContext({ work }), { timeout: limitMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new KitError('QUERY_INVALID', `expression \`${what}\` takes more than ${limitMs / 1000} s to evaluate`, {
      hint: 'nested repetitions such as (a+)+ take for ever on some texts: write the pattern without them',
    });
  }
}
