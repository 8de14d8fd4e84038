import type { Command } from 'commander';
import type { OpenContext } from './context.ts';

export interface CommandModule {
  /** Declares arguments and options, and the action. `context` is to be called when the action runs, if it needs one. */
  register(command: Command, context: OpenContext): void;
}

export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  load(): Promise<CommandModule>;
}

/** In the order of the help text: the main job first. */
export const COMMANDS: readonly CommandEntry[] = [
  { name: 'init', summary: 'Write a Kitfile for the contents of a directory', load: () => import('./commands/init.ts') },
  { name: 'pack', summary: 'Pack a directory as a ModelKit', load: () => import('./commands/pack.ts') },
  { name: 'push', summary: 'Send a ModelKit to a registry', load: () => import('./commands/push.ts') },
  { name: 'pull', summary: 'Fetch a ModelKit from a registry into local storage', load: () => import('./commands/pull.ts') },
  {
    name: 'unpack',
    summary: 'Unpack a ModelKit, or parts of it, from local storage or straight from a registry',
    load: () => import('./commands/unpack.ts'),
  },
  { name: 'tag', summary: 'Give a ModelKit another name', load: () => import('./commands/tag.ts') },
  { name: 'list', summary: 'List ModelKits in local storage or in a repository', load: () => import('./commands/list.ts') },
  { name: 'inspect', summary: 'Show manifest and Kitfile of a ModelKit as JSON', load: () => import('./commands/inspect.ts') },
  { name: 'info', summary: 'Show the Kitfile of a ModelKit', load: () => import('./commands/info.ts') },
  { name: 'diff', summary: 'Compare two ModelKits', load: () => import('./commands/diff.ts') },
  { name: 'verify', summary: 'Prove that a ModelKit was signed with a key', load: () => import('./commands/verify.ts') },
  { name: 'remove', summary: 'Remove ModelKits from local storage or a registry', load: () => import('./commands/remove.ts') },
  { name: 'login', summary: 'Log in to a registry', load: () => import('./commands/login.ts') },
  { name: 'logout', summary: 'Log out from a registry', load: () => import('./commands/logout.ts') },
  { name: 'version', summary: 'Show the version', load: () => import('./commands/version.ts') },
];
