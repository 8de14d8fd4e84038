import { userInfo } from 'node:os';
import type { Kit } from './kit.ts';

/** Who runs this, for records: a claim, as the author of a git commit is. */
export function currentActor(env: Kit['env']): string {
  const named = env['GITHUB_ACTOR'] || env['GITLAB_USER_LOGIN'];
  if (named) return named;
  try {
    return userInfo().username;
  } catch {
    // a container may run as a user without a name
    return env['USER'] || `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
