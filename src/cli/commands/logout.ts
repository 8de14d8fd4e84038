import type { Command } from 'commander';
import { logout } from '../../operations/login.ts';
import type { OpenContext } from '../context.ts';

export function register(command: Command, context: OpenContext): void {
  command
    .argument('<registry>', 'HOST[:PORT]')
    .addHelpText('after', '\nExamples:\n  kit logout ghcr.io')
    .action(async (registry: string) => {
      const cli = await context();
      await logout(cli.kit({}), registry, cli.call);
      cli.result('text', undefined, [`Successfully logged out from ${registry}`]);
    });
}
