import { statSync } from 'node:fs';
import { join, posix, resolve } from 'node:path';
import { homeDirectory } from '../../home-directory.ts';
import { KitError } from '../../errors.ts';
import { nearestName } from '../../kitfile/nearest-name.ts';

/**
 * Name of an agent; where it looks for skills in a project; where in the home of a user; and what tells that it is installed, if that is
 * not the directory around the latter. `none`: nothing tells. `~` is the home, `$NAME` a variable with a default below.
 * Names and places are those of KitOps 1.17 and of the `skills` program, from which KitOps has them.
 */
type Row = readonly [name: string, project: string, user: string, marks?: 'none' | readonly string[]];

/** What several clients read (agentskills.io): most projects need no other. */
const SHARED = '.agents/skills';

const AGENTS: readonly Row[] = [
  ['adal', '.adal/skills', '~/.adal/skills'],
  ['agents', SHARED, '~/.agents/skills', 'none'],
  ['amp', SHARED, '$XDG_CONFIG_HOME/agents/skills', ['$XDG_CONFIG_HOME/amp']],
  ['antigravity', SHARED, '~/.gemini/antigravity/skills'],
  ['augment', '.augment/skills', '~/.augment/skills'],
  ['bob', '.bob/skills', '~/.bob/skills'],
  ['claude-code', '.claude/skills', '$CLAUDE_CONFIG_DIR/skills'],
  ['cline', SHARED, '~/.agents/skills', ['~/.cline']],
  ['codebuddy', '.codebuddy/skills', '~/.codebuddy/skills'],
  ['codex', SHARED, '$CODEX_HOME/skills'],
  ['command-code', '.commandcode/skills', '~/.commandcode/skills'],
  ['continue', '.continue/skills', '~/.continue/skills'],
  ['cortex', '.cortex/skills', '~/.snowflake/cortex/skills'],
  ['crush', '.crush/skills', '$XDG_CONFIG_HOME/crush/skills'],
  ['cursor', SHARED, '~/.cursor/skills'],
  ['deepagents', SHARED, '~/.deepagents/agent/skills', ['~/.deepagents']],
  ['devin', '.devin/skills', '$XDG_CONFIG_HOME/devin/skills'],
  ['droid', '.factory/skills', '~/.factory/skills'],
  ['firebender', SHARED, '~/.firebender/skills'],
  ['gemini-cli', SHARED, '~/.gemini/skills'],
  ['github-copilot', SHARED, '~/.copilot/skills'],
  ['goose', '.goose/skills', '$XDG_CONFIG_HOME/goose/skills'],
  ['iflow-cli', '.iflow/skills', '~/.iflow/skills'],
  ['junie', '.junie/skills', '~/.junie/skills'],
  ['kilo', '.kilocode/skills', '~/.kilocode/skills'],
  ['kimi-cli', SHARED, '$XDG_CONFIG_HOME/agents/skills', ['~/.kimi']],
  ['kiro-cli', '.kiro/skills', '~/.kiro/skills'],
  ['kode', '.kode/skills', '~/.kode/skills'],
  ['mcpjam', '.mcpjam/skills', '~/.mcpjam/skills'],
  ['mistral-vibe', '.vibe/skills', '$VIBE_HOME/skills'],
  ['mux', '.mux/skills', '~/.mux/skills'],
  ['neovate', '.neovate/skills', '~/.neovate/skills'],
  ['openclaw', 'skills', '~/.openclaw/skills', ['~/.openclaw', '~/.clawdbot', '~/.moltbot']],
  ['opencode', SHARED, '$XDG_CONFIG_HOME/opencode/skills'],
  ['openhands', '.openhands/skills', '~/.openhands/skills'],
  ['pi', '.pi/skills', '~/.pi/agent/skills'],
  ['pochi', '.pochi/skills', '~/.pochi/skills'],
  ['qoder', '.qoder/skills', '~/.qoder/skills'],
  ['qwen-code', '.qwen/skills', '~/.qwen/skills'],
  ['replit', SHARED, '$XDG_CONFIG_HOME/agents/skills', 'none'],
  ['roo', '.roo/skills', '~/.roo/skills'],
  ['trae', '.trae/skills', '~/.trae/skills'],
  ['trae-cn', '.trae/skills', '~/.trae-cn/skills'],
  ['universal', SHARED, '$XDG_CONFIG_HOME/agents/skills', 'none'],
  ['warp', SHARED, '~/.agents/skills', ['~/.warp']],
  ['windsurf', '.windsurf/skills', '~/.codeium/windsurf/skills'],
  ['zed', SHARED, '~/.agents/skills', ['$XDG_CONFIG_HOME/zed']],
  ['zencoder', '.zencoder/skills', '~/.zencoder/skills'],
];

/** Where the variables point that are not set. */
const DEFAULTS: Readonly<Record<string, string>> = {
  $XDG_CONFIG_HOME: '~/.config',
  $CLAUDE_CONFIG_DIR: '~/.claude',
  $CODEX_HOME: '~/.codex',
  $VIBE_HOME: '~/.vibe',
};

/** In the order of their names. */
export const AGENT_NAMES: readonly string[] = AGENTS.map(([name]) => name);

type Environment = Readonly<Record<string, string | undefined>>;

/** Reads `claude-code,cursor`. @throws KitError USAGE */
export function parseAgents(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (name === '') throw new KitError('USAGE', `invalid list of agents \`${text}\`: a name is empty`);
    if (AGENT_NAMES.includes(name)) continue;
    const meant = nearestName(name, AGENT_NAMES) ?? AGENT_NAMES.find((known) => name.length > 2 && known.split('-').includes(name));
    throw new KitError('USAGE', `unknown agent \`${name}\`${meant === undefined ? '' : ` (did you mean \`${meant}\`?)`}`, {
      hint: `the agents are ${AGENT_NAMES.join(', ')}`,
    });
  }
  return [...new Set(names)];
}

/** The agents whose directories are in the user's home. */
export function installedAgents(env: Environment): string[] {
  return AGENTS.filter(
    ([, , user, marks = [posix.dirname(user)]]) => marks !== 'none' && marks.some((mark) => isDirectory(place(mark, env))),
  ).map(([name]) => name);
}

/** The directory that holds the skills of an agent: in a project, or in the user's home where none is given. Absolute. */
export function skillsDirectory(agent: string, project: string | undefined, env: Environment): string {
  const row = AGENTS.find(([name]) => name === agent);
  if (row === undefined) throw new Error(`no agent ${agent}`);
  const [, inProject, user] = row;
  return project === undefined ? place(user, env) : resolve(project, inProject);
}

/** The path that a place of the table stands for. */
function place(text: string, env: Environment): string {
  const [, start = '', rest = ''] = /^([^/]+)\/?(.*)$/.exec(text) ?? [];
  if (start === '~') return join(homeDirectory(env), rest);
  const set = env[start.slice(1)]?.trim();
  return set ? resolve(set, rest) : join(place(DEFAULTS[start] as string, env), rest);
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
