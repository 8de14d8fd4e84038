import { describe, expect, test } from 'vitest';
import { ageProblem, parseDuration } from '../../../src/policy/duration.ts';
import { canonicalName, concernsRepository, fileMatcher, globToRegExp, matchesRepository } from '../../../src/policy/pattern.ts';

describe('files', () => {
  test.each([
    ['*.pkl', 'model.pkl', true],
    ['*.pkl', 'a/b/model.pkl', true],
    ['*.pkl', 'MODEL.PKL', true],
    ['*.pkl', 'a/.hidden.pkl', true],
    ['*.pkl', 'model.pkl/data', true],
    ['*.pkl', 'model.pkl2', false],
    ['weights/*.bin', 'weights/a.bin', true],
    ['weights/*.bin', 'other/weights/a.bin', false],
    ['weights/*.bin', 'weights/deep/a.bin', false],
    ['weights/**/*.bin', 'weights/deep/er/a.bin', true],
    ['weights/**/*.bin', 'weights/a.bin', true],
    ['weights/', 'weights/a', true],
    ['/weights', 'weights/a', true],
    ['./weights', 'weights/a', true],
    ['*.{pt,pth}', 'a.pth', true],
    ['[!a-c]*.bin', 'd.bin', true],
    ['[!a-c]*.bin', 'b.bin', false],
    ['[a-c]?', 'b1', true],
    ['a+b', 'a+b', true],
    ['a+b', 'aab', false],
  ])('%s and %s: %s', (pattern, path, expected) => {
    expect(fileMatcher(pattern)(path)).toBe(expected);
  });
});

describe('repositories', () => {
  test.each([
    ['ghcr.io/team/*', 'ghcr.io/team/m', true],
    ['ghcr.io/team/*', 'ghcr.io/team/m/n', false],
    ['ghcr.io/team/**', 'ghcr.io/team/m/n', true],
    ['ghcr.io/team/**', 'ghcr.io/team', false],
    ['ghcr.io/team/**', 'ghcr.io/teammate/m', false],
    ['ghcr.io/team/**', 'xghcr.io/team/m', false],
    ['ghcr.io/team/**', 'ghcrxio/team/m', false],
    ['**', 'm', true],
    ['**', '', true],
    ['*', 'ghcr.io/m', false],
    ['GHCR.io/Team/**', 'ghcr.io/team/m', true],
    ['ghcr.io:443/team/*', 'ghcr.io/team/m', true],
    ['index.docker.io/team/*', 'docker.io/team/m', true],
    ['docker.io/m', 'docker.io/library/m', true],
    ['{GHCR.io,quay.io}/team/*', 'ghcr.io/team/m', true],
  ])('%s and %s: %s', (pattern, name, expected) => {
    expect(matchesRepository(pattern, name)).toBe(expected);
  });

  test.each([
    ['registry.example.com/**', 'registry.example.com:0443/m', true],
    ['registry.example.com:443/**', 'registry.example.com:00443/m', true],
    ['*.example.com:443/**', 'registry.example.com/m', true],
    ['127.0.0.1:5000/**', '127.1:5000/m', true],
    ['127.0.0.1:5000/**', '0x7f.1:5000/m', true],
    ['127.0.0.1:5000/**', '127.0.0.2:5000/m', false],
    ['[::1]:5000/**', '[0:0:0:0:0:0:0:1]:05000/m', true],
    ['[::1]:5000/**', '[::2]:5000/m', false],
    ['[::1]:5000/**', '::5000/m', false],
    ['123/*', '123/m', true],
    ['[ab]/*', 'a/m', true],
  ])('whatever way the host is written: %s and %s: %s', (pattern, reference, expected) => {
    const host = reference.slice(0, reference.indexOf('/'));
    const repository = reference.slice(host.length + 1);
    const name = /[.:]/.test(host) ? canonicalName(host, repository) : reference;
    expect(matchesRepository(pattern, name)).toBe(expected);
  });

  test('what restricts concerns whatever may be the same place', () => {
    expect(matchesRepository('reg.example.com/**', 'reg.example.com:80/m')).toBe(false);
    expect(concernsRepository('reg.example.com/**', 'reg.example.com:80/m')).toBe(true);
    expect(concernsRepository('reg.example.com:80/**', 'reg.example.com/m')).toBe(true);
    expect(concernsRepository('team/*', 'localhost/team/m')).toBe(true);
    expect(concernsRepository('localhost/team/*', 'team/m')).toBe(true);
    expect(concernsRepository('reg.example.com/**', 'reg.example.com:8080/m')).toBe(false);
  });

  test('a place has one spelling', () => {
    expect(canonicalName('GHCR.io:443', 'team/m')).toBe('ghcr.io/team/m');
    expect(canonicalName('registry-1.docker.io', 'm')).toBe('docker.io/library/m');
    expect(canonicalName('index.docker.io', 'team/m')).toBe('docker.io/team/m');
    expect(canonicalName('ghcr.io:5000', 'm')).toBe('ghcr.io:5000/m');
    expect(canonicalName(undefined, 'm')).toBe('m');
  });

  test.each(['a[', '{a', 'x{b,{c}'])('%s is none', (pattern) => {
    expect(() => globToRegExp(pattern)).toThrow(SyntaxError);
  });
});

describe('ages', () => {
  const now = '2026-03-01T00:00:00Z';

  test.each([
    ['12h', 43_200_000],
    ['2w', 1_209_600_000],
    ['90m', 5_400_000],
    ['1.5d', undefined],
    ['d', undefined],
    ['1y', undefined],
  ])('%s', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  test.each([
    ['2026-02-28T12:00:00Z', undefined],
    ['2026-02-27T00:00:00Z', '2026-02-27T00:00:00Z is more than 1d ago'],
    // a minute off is a clock that differs, a year is a lie
    ['2026-03-01T00:01:00Z', undefined],
    ['2027-03-01T00:00:00Z', '2027-03-01T00:00:00Z lies ahead of the clock of this machine (2026-03-01T00:00:00Z)'],
    ['soon', '`soon` is no RFC 3339 time'],
  ])('%s', (time, expected) => {
    expect(ageProblem(time, now, '1d')).toBe(expected);
  });

  test('without a clock nothing is young', () => {
    expect(ageProblem(now, '', '1d')).toBe('the time of the check is not known');
  });
});
