/** Longest name of a skill (agentskills.io/specification). */
const MAX_NAME = 64;

/**
 * The name of the directory that a skill goes to: lower case, with letters, digits, `.`, `_` and `-` only, by the rule of KitOps, and no
 * longer than the specification allows. Never empty, never hidden, never a path.
 */
export function skillDirectoryName(name: string): string {
  const cleaned = trimmed(name.toLowerCase().replaceAll(/[^a-z0-9._]+/g, '-'));
  return trimmed(cleaned.slice(0, MAX_NAME)) || 'unnamed-skill';
}

function trimmed(name: string): string {
  return name.replaceAll(/^[.-]+|[.-]+$/g, '');
}
