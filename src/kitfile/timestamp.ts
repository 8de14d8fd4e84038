// The layouts that yaml.v3 accepts: RFC 3339 with short fields, a space instead of T (then without a zone), or a date.
// As in Go's time.Parse, a comma may stand for the decimal point.
const DATE = String.raw`(?<year>\d{4})-(?<month>\d{1,2})-(?<day>\d{1,2})`;
const TIME = String.raw`(?<hour>\d{1,2}):(?<minute>\d{1,2}):(?<second>\d{1,2})(?:[.,](?<fraction>\d+))?`;
const ZONE = String.raw`(?:Z|(?<sign>[+-])(?<zoneHour>\d{2}):(?<zoneMinute>\d{2}))`;
const TIMESTAMP = new RegExp(`^${DATE}(?:[Tt]${TIME}${ZONE})?$|^${DATE} +${TIME}$`);

/**
 * The RFC 3339 form of a YAML timestamp, as Go prints a time: nanoseconds at most, no trailing zeros, offset kept.
 * Undefined when the text is no timestamp (then it is a string).
 */
export function parseTimestamp(text: string): string | undefined {
  const groups = TIMESTAMP.exec(text)?.groups;
  if (groups === undefined) return undefined;
  const field = (name: string): number => Number(groups[name] ?? 0);
  const [year, month, day] = [field('year'), field('month'), field('day')];
  if (month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  if (field('hour') > 23 || field('minute') > 59 || field('second') > 59) return undefined;
  // Go tolerates +24:00 and +05:60
  if (field('zoneHour') > 24 || field('zoneMinute') > 60) return undefined;
  const two = (name: string): string => `${field(name)}`.padStart(2, '0');
  const fraction = (groups['fraction'] ?? '').slice(0, 9).replace(/0+$/, '');
  const time = `${two('hour')}:${two('minute')}:${two('second')}${fraction === '' ? '' : `.${fraction}`}`;
  return `${groups['year']}-${two('month')}-${two('day')}T${time}${formatZone(groups['sign'], field('zoneHour') * 60 + field('zoneMinute'))}`;
}

function formatZone(sign: string | undefined, minutes: number): string {
  if (minutes === 0) return 'Z';
  return `${sign}${`${Math.floor(minutes / 60)}`.padStart(2, '0')}:${`${minutes % 60}`.padStart(2, '0')}`;
}

function daysIn(year: number, month: number): number {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
}
