import { homedir, userInfo } from 'node:os';

/**
 * The user's home directory: HOME or USERPROFILE, else what the system knows. A user of a container without an entry in /etc/passwd
 * has `/`, as container runtimes set it.
 */
export function homeDirectory(env: Readonly<Record<string, string | undefined>>): string {
  try {
    // of an empty HOME `homedir` makes an empty path, which would be the working directory
    return env['HOME'] || env['USERPROFILE'] || homedir() || userInfo().homedir;
  } catch {
    return '/';
  }
}
