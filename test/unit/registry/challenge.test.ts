import { assert, property, string } from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseChallenges } from '../../../src/registry/challenge.ts';

function parse(header: string): Array<[string, Record<string, string>]> {
  return parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);
}

describe('WWW-Authenticate', () => {
  test.each<[string, Array<[string, Record<string, string>]>]>([
    ['Basic realm="r"', [['basic', { realm: 'r' }]]],
    ['BASIC', [['basic', {}]]],
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [['bearer', { realm: 'https://auth.docker.io/token', service: 'registry.docker.io', scope: 'repository:a/b:pull,push' }]],
    ],
    [
      'Basic realm="a, b=\\"c\\"", Bearer realm="https://x/token" , service=plain',
      [
        ['basic', { realm: 'a, b="c"' }],
        ['bearer', { realm: 'https://x/token', service: 'plain' }],
      ],
    ],
    [
      'Negotiate YWJj==, Bearer realm="x"',
      [
        ['negotiate', {}],
        ['bearer', { realm: 'x' }],
      ],
    ],
    [
      'Negotiate, Basic realm=r',
      [
        ['negotiate', {}],
        ['basic', { realm: 'r' }],
      ],
    ],
    ['Bearer realm = "x" ,  SERVICE="s"', [['bearer', { realm: 'x', service: 's' }]]],
    ['Bearer realm=https://x/token?a=b,service=s', [['bearer', { realm: 'https://x/token?a=b', service: 's' }]]],
    ['Bearer realm="first",realm="second"', [['bearer', { realm: 'first' }]]],
    ['Bearer realm="unterminated', [['bearer', { realm: '' }]]],
    ['', []],
    [', ,', []],
  ])('%s', (header, expected) => {
    expect(parse(header)).toEqual(expected);
  });

  test('quoted parameters survive, whatever they hold', () => {
    assert(
      property(string({ unit: 'binary-ascii' }), (value) => {
        const text = value.replaceAll(/[\r\n]/g, '');
        const quoted = text.replaceAll(/["\\]/g, '\\$&');
        expect(parse(`Basic realm="x", Bearer realm="${quoted}",service="s"`)).toEqual([
          ['basic', { realm: 'x' }],
          ['bearer', { realm: text, service: 's' }],
        ]);
      }),
    );
  });

  test('any header is parsed to an end', () => {
    assert(
      property(string(), (header) => {
        expect(parseChallenges(header)).toBeInstanceOf(Array);
      }),
    );
  });
});
