import { createContext, Script } from 'node:vm';
import { type ErrorCode, KitError } from './errors.ts';

/** Far more than any sound expression takes for the documents of one batch. */
const MAX_EVALUATION_MS = 10_000;

const script = new Script('work()');

/**
 * Runs `work`, which is synchronous, and breaks it off when it takes too long: regular expressions may backtrack for ever, and a JSONPath
 * may nest descents. Costs about a third of a millisecond: to be called for much at once. `what` names the expression, and is asked when
 * it is over. @throws KitError `code`
 */
export function withTimeLimit(work: () => void, code: ErrorCode, what: () => string, limitMs = MAX_EVALUATION_MS): void {
  try {
    script.runInContext(createContext({ work }), { timeout: limitMs });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error;
    throw new KitError(code, `${what()} takes more than ${limitMs / 1000} s to evaluate`, {
      hint: 'nested repetitions such as (a+)+, and many stars in one pattern, take for ever on some texts: write it without them',
    });
  }
}
