import { describe, expect, test } from 'vitest';
import { parseResponseHead } from '../../../src/registry/response-head.ts';

const parse = (...lines: string[]) => parseResponseHead(Buffer.from(lines.join('\r\n'), 'latin1'));

describe('a head of the plain kind', () => {
  test('gives status, headers by lower-case name, and length', () => {
    const head = parse('HTTP/1.1 206 Partial Content', 'Content-Length: 12', 'X-A:  1 ', 'x-a: 2');
    expect(head).toMatchObject({ status: 206, length: 12, isReusable: true });
    expect(head?.headers.get('x-a')).toBe('1, 2');
  });

  test.each([
    ['HTTP/1.1 200 OK', 'Connection: close', false],
    ['HTTP/1.1 200', 'Connection: Keep-Alive', true],
    ['HTTP/1.0 200 OK', 'Server: x', false],
    ['HTTP/1.0 200 OK', 'Connection: keep-alive', true],
  ])('%s with %s is reusable: %s', (status, line, isReusable) => {
    expect(parse(status, 'Content-Length: 0', line)).toMatchObject({ isReusable });
  });

  test('a redirect needs no length, but ends the connection', () => {
    expect(parse('HTTP/1.1 307 x', 'Location: /x', 'Transfer-Encoding: chunked')).toMatchObject({ length: 0, isReusable: false });
    expect(parse('HTTP/1.1 307 x', 'Location: /x', 'Content-Length: 5')).toMatchObject({ length: 5, isReusable: true });
  });
});

describe('all else is left to a parser of HTTP', () => {
  test.each([
    ['nothing', ['']],
    ['an interim answer', ['HTTP/1.1 100 Continue', 'Content-Length: 0']],
    ['a switch of protocols', ['HTTP/1.1 200 OK', 'Upgrade: h2c', 'Content-Length: 0']],
    ['chunks', ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked']],
    ['chunks and a length', ['HTTP/1.1 200 OK', 'Content-Length: 5', 'Transfer-Encoding: chunked']],
    ['an encoded body', ['HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Encoding: gzip']],
    ['no length', ['HTTP/1.1 200 OK', 'Server: x']],
    ['two lengths', ['HTTP/1.1 200 OK', 'Content-Length: 5', 'Content-Length: 6']],
    ['a negative length', ['HTTP/1.1 200 OK', 'Content-Length: -5']],
    ['a signed length', ['HTTP/1.1 200 OK', 'Content-Length: +5']],
    ['a length with a fraction', ['HTTP/1.1 200 OK', 'Content-Length: 5.0']],
    ['an absurd length', ['HTTP/1.1 200 OK', `Content-Length: ${'9'.repeat(20)}`]],
    ['NUL in a value', ['HTTP/1.1 200 OK', 'Content-Length: 5', 'X-A: a\0b']],
    ['NUL in the status line', ['HTTP/1.1 200 O\0K', 'Content-Length: 5']],
    ['a bare line feed', ['HTTP/1.1 200 OK\nContent-Length: 5', 'Content-Length: 5']],
    ['a folded line', ['HTTP/1.1 200 OK', 'X-A: 1', '  2', 'Content-Length: 5']],
    ['a space before the colon', ['HTTP/1.1 200 OK', 'Content-Length : 5']],
    ['a line without a colon', ['HTTP/1.1 200 OK', 'Content-Length: 5', 'nonsense']],
    ['an empty name', ['HTTP/1.1 200 OK', ': 5', 'Content-Length: 5']],
    ['another protocol', ['SSH-2.0-OpenSSH_9.9']],
    ['another version', ['HTTP/2 200', 'Content-Length: 5']],
    ['a status of four digits', ['HTTP/1.1 2000 OK', 'Content-Length: 5']],
  ])('%s', (_name, lines) => {
    expect(parse(...lines)).toBeUndefined();
  });
});
