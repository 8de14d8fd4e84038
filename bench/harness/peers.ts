import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from './measure.ts';
import { OURS } from './table.ts';

/** A `kit`, ours or a peer's: both take the same commands. */
export interface KitTool {
  readonly name: string;
  /** `kit ARGS` with its store and credentials in `home`, which is made. */
  command(home: string, ...args: string[]): Command;
}

/** A tool that moves artifacts between registries and image layouts. */
export interface LayoutTool {
  readonly name: string;
  /** The folder `layout` has nothing but the artifact. */
  push(layout: string, tag: string, to: string): Command;
  pull(from: string, layout: string): Command;
  copy(from: string, to: string): Command;
}

/** Ours (`ours` is a bin/kit.js), then the peer, if there is one. */
export function kitTools(ours: string, peer: string, work: string): KitTool[] {
  const tools: KitTool[] = [
    { name: OURS, command: (home, ...args) => ({ argv: [process.execPath, ours, ...args], env: inHome(home, work) }) },
  ];
  if (!isInstalled(peer)) return tools;
  return [...tools, { name: 'kit', command: (home, ...args) => ({ argv: [peer, ...args], env: inHome(home, work) }) }];
}

/** Those of oras and crane that are on PATH, for registries of that scheme, whose certificates they do not check. */
export function layoutTools(work: string, scheme: 'http' | 'https' = 'http'): LayoutTool[] {
  const env = inHome(join(work, 'no-home'), work);
  const [from, to] = scheme === 'http' ? ['--from-plain-http', '--to-plain-http'] : ['--from-insecure', '--to-insecure'];
  const cp: Command['argv'] = ['oras', 'cp', '--no-tty'];
  const oras: LayoutTool = {
    name: 'oras',
    push: (layout, tag, reference) => ({ argv: [...cp, '--from-oci-layout', to, `${layout}:${tag}`, reference], env }),
    pull: (reference, layout) => ({ argv: [...cp, from, '--to-oci-layout', reference, `${layout}:v1`], env }),
    copy: (source, destination) => ({ argv: [...cp, from, to, source, destination], env }),
  };
  const crane: LayoutTool = {
    name: 'crane',
    push: (layout, _tag, reference) => ({ argv: ['crane', 'push', '--insecure', layout, reference], env }),
    pull: (reference, layout) => ({ argv: ['crane', 'pull', '--insecure', '--format=oci', reference, layout], env }),
    copy: (source, destination) => ({ argv: ['crane', 'copy', '--insecure', source, destination], env }),
  };
  return [oras, crane].filter(({ name }) => isInstalled(name));
}

function isInstalled(program: string): boolean {
  return spawnSync(program, ['version'], { stdio: 'ignore' }).status === 0;
}

/** Everything that a tool could leave anywhere stays below `work`, on one file system; no credentials and no proxies of the user. */
function inHome(home: string, work: string): NodeJS.ProcessEnv {
  const temporary = join(work, 'tmp');
  const docker = join(work, 'docker-config');
  for (const folder of [home, temporary, docker]) mkdirSync(folder, { recursive: true });
  // otherwise KitOps asks for newer versions at each start
  writeFileSync(join(home, 'disable-update-notifications'), '');
  const kept = Object.entries(process.env).filter(([name]) => !/^(https?_proxy|all_proxy|no_proxy|ci|kit_home|kitops_home)$/i.test(name));
  return { ...Object.fromEntries(kept), KIT_HOME: home, KITOPS_HOME: home, TMPDIR: temporary, DOCKER_CONFIG: docker };
}
