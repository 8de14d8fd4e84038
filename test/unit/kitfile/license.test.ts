import { describe, expect, it } from 'vitest';

import { detectLicense } from '../../../src/kitfile/license.ts';

const MIT_GRANT = `Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction`;
const BSD =
  'Redistribution and use in source and binary forms, with or without\nmodification, are permitted provided that the following conditions are met:';
const ISC = 'Permission to use, copy, modify, and/or distribute this software for any\npurpose with or without fee is hereby granted';

describe('detectLicense', () => {
  it.each([
    [
      'MIT',
      `MIT License\n\n${MIT_GRANT}, subject to the following conditions:\n\nThe above copyright notice and this permission notice shall be included`,
    ],
    ['MIT', ` * ${MIT_GRANT.replaceAll('\n', '\n * ')}\n * The above copyright notice and this permission notice`],
    ['MIT-0', MIT_GRANT],
    ['ISC', `${ISC}, provided that the above copyright notice`],
    ['ISC', `${ISC.replace('and/or', 'and')}, provided that the above copyright notice`],
    ['0BSD', `${ISC}.\n\nTHE SOFTWARE IS PROVIDED "AS IS"`],
    ['BSD-2-Clause', `${BSD}\n1. Redistributions of source code must retain`],
    [
      'BSD-3-Clause',
      `${BSD}\n3. Neither the name of the copyright holder nor the names of its contributors may be used to\n endorse or promote products derived from this software`,
    ],
    [
      'Apache-2.0',
      'Apache License\n  Version 2.0, January 2004\n  http://www.apache.org/licenses/\n\n TERMS AND CONDITIONS FOR USE, REPRODUCTION, AND DISTRIBUTION',
    ],
    [
      'Apache-2.0',
      'Licensed under the Apache License, Version 2.0 (the "License");\nyou may not use this file except in compliance with the License.',
    ],
    [
      'GPL-2.0',
      'GNU GENERAL PUBLIC LICENSE\nVersion 2, June 1991\n\nThe licenses for most software are designed to take away your\nfreedom',
    ],
    [
      'GPL-3.0',
      'The GNU General Public License is a free, copyleft license for\nsoftware and other kinds of works.\nsection 13: the GNU Affero General Public License',
    ],
    ['AGPL-3.0', 'The GNU Affero General Public License is a free, copyleft license for\nsoftware'],
    [
      'LGPL-3.0',
      'GNU LESSER GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007\n incorporates the terms and conditions of version 3 of the GNU General Public License',
    ],
    ['MPL-2.0', 'This Source Code Form is subject to the terms of the Mozilla Public\nLicense, v. 2.0.'],
    ['Unlicense', 'This is free and unencumbered software released into the public domain.'],
    ['CC0-1.0', 'Creative Commons Legal Code\n\nCC0 1.0 Universal\n\nStatement of Purpose'],
    ['CC-BY-4.0', 'Attribution 4.0 International\n Creative Commons Attribution 4.0 International Public License'],
    ['CC-BY-NC-SA-4.0', 'Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International Public License'],
    ['Apache-2.0 OR MIT', '// SPDX-License-Identifier: Apache-2.0 OR MIT\n'],
  ])('finds %s', (id, text) => {
    expect(detectLicense(text)).toBe(id);
  });

  it.each([
    ['nothing known', 'All rights reserved.'],
    ['empty', ''],
    ['two licenses', `${MIT_GRANT} The above copyright notice and this permission notice\n\n${BSD}`],
    ['a mention', 'This product uses parts under the Apache License, Version 2.0, and the Mozilla Public License Version 2.0.'],
  ])('does not guess: %s', (_, text) => {
    expect(detectLicense(text)).toBeUndefined();
  });
});
