interface LicenseText {
  readonly id: string;
  /** All of these words, in this order, somewhere in the text: lower case, punctuation and line breaks as single spaces. */
  readonly phrases: readonly string[];
  /** None of these. */
  readonly without?: readonly string[];
}

const MIT =
  'permission is hereby granted free of charge to any person obtaining a copy of this software and associated documentation files';
const MIT_NOTICE = 'the above copyright notice and this permission notice';
const ISC = 'permission to use copy modify and or distribute this software for any purpose with or without fee is hereby granted';
const BSD = 'redistribution and use in source and binary forms with or without modification are permitted provided that';
const BSD_NAMES = 'contributors may be used to endorse or promote products derived from';
const BSD_ADVERTISING = 'all advertising materials mentioning features or use of this software must';

// phrases of the terms themselves, not only titles: other licenses mention these by name.
// GPL versions without -only or -or-later, as the text alone cannot tell
const TEXTS: readonly LicenseText[] = [
  { id: 'MIT', phrases: [MIT, MIT_NOTICE] },
  { id: 'MIT-0', phrases: [MIT], without: [MIT_NOTICE] },
  { id: 'ISC', phrases: [`${ISC} provided that`] },
  { id: '0BSD', phrases: [`${ISC} the software is provided as is`] },
  { id: 'BSD-2-Clause', phrases: [BSD], without: [BSD_NAMES] },
  { id: 'BSD-3-Clause', phrases: [BSD, BSD_NAMES], without: [BSD_ADVERTISING] },
  { id: 'BSD-4-Clause', phrases: [BSD, BSD_ADVERTISING, BSD_NAMES] },
  { id: 'Apache-2.0', phrases: ['apache license version 2 0 january 2004', 'terms and conditions for use reproduction and distribution'] },
  {
    id: 'Apache-2.0',
    phrases: ['licensed under the apache license version 2 0', 'you may not use this file except in compliance with the license'],
  },
  {
    id: 'GPL-2.0',
    phrases: ['gnu general public license version 2 june 1991', 'the licenses for most software are designed to take away your freedom'],
  },
  { id: 'GPL-3.0', phrases: ['the gnu general public license is a free copyleft license for software'] },
  {
    id: 'LGPL-2.1',
    phrases: ['gnu lesser general public license version 2 1 february 1999', 'this license the lesser general public license applies to'],
  },
  {
    id: 'LGPL-3.0',
    phrases: ['gnu lesser general public license version 3 29 june 2007', 'incorporates the terms and conditions of version 3'],
  },
  { id: 'AGPL-3.0', phrases: ['gnu affero general public license is a free copyleft license for software'] },
  { id: 'MPL-2.0', phrases: ['this source code form is subject to the terms of the mozilla public license v 2 0'] },
  { id: 'EPL-2.0', phrases: ['eclipse public license v 2 0', 'the accompanying program is provided under the terms of this'] },
  {
    id: 'BSL-1.0',
    phrases: ['boost software license version 1 0', 'permission is hereby granted free of charge to any person or organization'],
  },
  { id: 'Unlicense', phrases: ['this is free and unencumbered software released into the public domain'] },
  { id: 'CC0-1.0', phrases: ['cc0 1 0 universal', 'statement of purpose'] },
  { id: 'CC-BY-4.0', phrases: ['attribution 4 0 international public license'] },
  { id: 'CC-BY-SA-4.0', phrases: ['attribution sharealike 4 0 international public license'] },
  { id: 'CC-BY-ND-4.0', phrases: ['attribution noderivatives 4 0 international public license'] },
  { id: 'CC-BY-NC-4.0', phrases: ['attribution noncommercial 4 0 international public license'] },
  { id: 'CC-BY-NC-SA-4.0', phrases: ['attribution noncommercial sharealike 4 0 international public license'] },
  { id: 'CC-BY-NC-ND-4.0', phrases: ['attribution noncommercial noderivatives 4 0 international public license'] },
];

const DECLARATION = /SPDX-License-Identifier:[ \t]*([A-Za-z0-9][\w.+() -]*)/;

/**
 * The SPDX id of the license in a text: what it declares itself, else the one known license that its words are of.
 * Undefined for none and for several, since a wrong license is worse than none.
 */
export function detectLicense(text: string): string | undefined {
  const declared = DECLARATION.exec(text)?.[1]?.trim();
  if (declared !== undefined) return declared;
  const words = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, ' ')
    // "and/or distribute" is "and distribute" in the older ISC text
    .replaceAll('modify and distribute this software', 'modify and or distribute this software');
  const matches = TEXTS.filter(
    ({ phrases, without = [] }) => hasInOrder(words, phrases) && !without.some((phrase) => words.includes(phrase)),
  );
  const [id, ...others] = new Set(matches.map((match) => match.id));
  return others.length === 0 ? id : undefined;
}

function hasInOrder(words: string, phrases: readonly string[]): boolean {
  let from = 0;
  return phrases.every((phrase) => {
    const at = words.indexOf(phrase, from);
    from = at + phrase.length;
    return at >= 0;
  });
}
