/** True for the whole id of a commit of git, in SHA-1 or SHA-256. */
export function isCommit(text: string): boolean {
  return /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/.test(text);
}
