import { describe, expect, test, vi } from 'vitest';
import { homeDirectory } from '../../src/home-directory.ts';

const system = vi.hoisted(() => ({ home: '', user: (): { homedir: string } => ({ homedir: '/home/me' }) }));
vi.mock('node:os', () => ({
  homedir: () => {
    if (system.home === 'unknown') throw new Error('uv_os_homedir returned ENOENT');
    return system.home;
  },
  userInfo: () => system.user(),
}));

describe('the home directory', () => {
  test('is what the environment says', () => {
    expect(homeDirectory({ HOME: '/h' })).toBe('/h');
    expect(homeDirectory({ HOME: '', USERPROFILE: 'C:\\Users\\me' })).toBe('C:\\Users\\me');
  });

  test('is what the system knows where HOME is empty, never the working directory', () => {
    expect(homeDirectory({ HOME: '' })).toBe('/home/me');
  });

  test('is / for a user whom the system does not know', () => {
    system.home = 'unknown';
    expect(homeDirectory({})).toBe('/');
  });
});
