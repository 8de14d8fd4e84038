const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Milliseconds of `90m`, `12h`, `30d`, `2w`; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d{1,6})([mhdw])$/.exec(text) ?? [];
  const factor = UNITS[unit];
  return digits === undefined || factor === undefined ? undefined : Number(digits) * factor;
}

/** Clocks differ a little. */
const SKEW = 5 * 60_000;

/**
 * Why a time is too far back; undefined when it is not. All times are RFC 3339. One that lies ahead of the clock is refused too: it
 * would never be too old.
 */
export function ageProblem(time: string, now: string, maxAge: string): string | undefined {
  const [then, clock, limit] = [Date.parse(time), Date.parse(now), parseDuration(maxAge)];
  if (Number.isNaN(then)) return `\`${time}\` is no RFC 3339 time`;
  if (Number.isNaN(clock) || limit === undefined) return 'the time of the check is not known';
  if (then - clock > SKEW) return `${time} lies ahead of the clock of this machine (${now})`;
  return clock - then > limit ? `${time} is more than ${maxAge} ago` : undefined;
}
