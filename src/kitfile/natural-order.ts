const DIGIT = /^\p{Nd}$/u;
const LETTER = /^\p{L}$/u;

/** The order of keys in maps that yaml.v3 writes: runs of digits by value, letters after other characters, else code points. */
export function compareNatural(a: string, b: string): number {
  if (lessNatural(a, b)) return -1;
  return lessNatural(b, a) ? 1 : 0;
}

function lessNatural(a: string, b: string): boolean {
  const [left, right] = [Array.from(a), Array.from(b)];
  const at = left.findIndex((char, index) => char !== right[index]);
  const [first, second] = [left[at], right[at]];
  if (at === -1 || first === undefined || second === undefined) return left.length < right.length;
  const [firstIsLetter, secondIsLetter] = [LETTER.test(first), LETTER.test(second)];
  if (firstIsLetter && secondIsLetter) return codePoint(first) < codePoint(second);
  if (firstIsLetter || secondIsLetter) {
    // after digits a letter comes first: `a1b` before `a1-`
    return at > 0 && DIGIT.test(left[at - 1] ?? '') ? firstIsLetter : secondIsLetter;
  }
  // zeros in the middle of a number count: as if both began with 1
  const lead = (first === '0' || second === '0') && hasNonZeroDigitBefore(left, at) ? 1n : 0n;
  const [firstRun, secondRun] = [digitRun(left, at, lead), digitRun(right, at, lead)];
  if (firstRun.value !== secondRun.value) return firstRun.value < secondRun.value;
  if (firstRun.end !== secondRun.end) return firstRun.end < secondRun.end;
  return codePoint(first) < codePoint(second);
}

function hasNonZeroDigitBefore(chars: readonly string[], at: number): boolean {
  for (let index = at - 1; index >= 0 && DIGIT.test(chars[index] ?? ''); index--) {
    if (chars[index] !== '0') return true;
  }
  return false;
}

/** int64 arithmetic, as in Go: very long numbers wrap. */
function digitRun(chars: readonly string[], start: number, lead: bigint): { value: bigint; end: number } {
  let value = lead;
  let end = start;
  for (; end < chars.length && DIGIT.test(chars[end] ?? ''); end++) {
    value = BigInt.asIntN(64, value * 10n + BigInt(codePoint(chars[end] ?? '0') - 48));
  }
  return { value, end };
}

function codePoint(char: string): number {
  return char.codePointAt(0) ?? 0;
}
