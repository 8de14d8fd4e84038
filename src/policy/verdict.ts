/** What became of one rule. */
export interface Verdict {
  /** Its place in the policy: `signatures.ci`, `files.deny`. */
  readonly rule: string;
  readonly passed: boolean;
  /** Of which member of an index. */
  readonly digest?: string;
  /** Why it is broken. */
  readonly message?: string;
  /** What to do about that. */
  readonly hint?: string;
}

/** What a policy asks for, to be judged by its turn: patterns and paths may take their time. */
export interface Rule {
  readonly name: string;
  /** The patterns, regular expressions and paths in it. */
  readonly patterns: readonly string[];
  readonly judge: () => readonly Verdict[];
}

export function held(rule: string): Verdict {
  return { rule, passed: true };
}

export function broken(rule: string, message: string, hint: string): Verdict {
  return { rule, passed: false, message, hint };
}

const MAX_LISTED = 5;

/** The first few of a list that others made as long as they liked. */
export function fewOf(items: readonly string[]): string {
  const more = items.length - MAX_LISTED;
  return more > 0 ? `${items.slice(0, MAX_LISTED).join(', ')} and ${more} more` : items.join(', ');
}
