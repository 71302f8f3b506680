// Pictures leave without what they tell about places, people and devices: EXIF (GPS, names, serial numbers), XMP, IPTC,
// comments, embedded previews, and whatever follows the picture. Pixels are not touched; the colour profile and the
// orientation stay. Throws where the file is not understood, so that nothing leaves by mistake.
const Strip = (() => {
  const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const text = (bytes, start, length) => String.fromCharCode(...bytes.subarray(start, start + length));
  const join = (parts) => {
    const made = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) { made.set(part, at); at += part.length; }
    return made;
  };
  const need = (fine) => { if (!fine) throw new Error("not understood"); };

  // TIFF with one entry, the orientation; and the orientation in somebody else's TIFF.
  const exif = (orientation) => Uint8Array.of(
    0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0,
  );
  const orientationOf = (tiff) => {
    try {
      const [data, little] = [view(tiff), text(tiff, 0, 2) === "II"];
      const start = data.getUint32(4, little);
      for (let entry = start + 2; entry < start + 2 + 12 * data.getUint16(start, little); entry += 12) {
        if (data.getUint16(entry, little) !== 0x0112) continue;
        const value = data.getUint16(entry + 2, little) === 4 ? data.getUint32(entry + 8, little) : data.getUint16(entry + 8, little);
        return value >= 1 && value <= 8 ? value : 1;
      }
    } catch { /* broken: as good as none */ }
    return 1;
  };

  const jpeg = (bytes) => {
    const data = view(bytes);
    const kept = [bytes.subarray(0, 2)];
    let [at, orientation, ended] = [2, 1, false];
    while (!ended) {
      while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at += 1; // fill bytes
      need(bytes[at] === 0xff && at + 1 < bytes.length);
      const marker = bytes[at + 1];
      if (marker === 0xd9) { kept.push(bytes.subarray(at, at + 2)); ended = true; continue; }
      const end = at + 2 + data.getUint16(at + 2);
      need(end <= bytes.length);
      const name = text(bytes, at + 4, Math.min(14, end - at - 4));
      if (marker === 0xe1 && name.startsWith("Exif\0\0") && orientation === 1) orientation = orientationOf(bytes.subarray(at + 10, end));
      const application = marker >= 0xe0 && marker <= 0xef;
      const wanted = (marker === 0xe0 && name.startsWith("JFIF\0") && end - at === 18) // without a preview
        || (marker === 0xe2 && name.startsWith("ICC_PROFILE\0")) || (marker === 0xee && name.startsWith("Adobe"));
      if (wanted || (!application && marker !== 0xfe)) kept.push(bytes.subarray(at, end));
      at = end;
      if (marker === 0xda) { // the scan goes on to the next marker that is none of a scan's own
        while (at + 1 < bytes.length && !(bytes[at] === 0xff && bytes[at + 1] !== 0 && !(bytes[at + 1] >= 0xd0 && bytes[at + 1] <= 0xd7))) at += 1;
        kept.push(bytes.subarray(end, at));
        if (at + 1 >= bytes.length) { kept.push(bytes.subarray(at)); ended = true; } // cut short: as far as it goes
      }
    }
    if (orientation !== 1) {
      const tiff = exif(orientation);
      kept.splice(1, 0, Uint8Array.of(0xff, 0xe1, 0, 8 + tiff.length, 0x45, 0x78, 0x69, 0x66, 0, 0), tiff);
    }
    return join(kept);
  };

  const pngChunks = "IHDR PLTE IDAT IEND tRNS cICP iCCP sRGB gAMA cHRM sBIT bKGD pHYs mDCV cLLI acTL fcTL fdAT".split(" ");
  const png = (bytes, crc32) => {
    const data = view(bytes);
    const kept = [bytes.subarray(0, 8)];
    let [at, orientation] = [8, 1];
    for (let kind = ""; kind !== "IEND"; ) {
      const end = at + 12 + data.getUint32(at);
      need(end <= bytes.length);
      kind = text(bytes, at + 4, 4);
      if (kind === "eXIf") orientation = orientationOf(bytes.subarray(at + 8, end - 4));
      else if (pngChunks.includes(kind)) kept.push(bytes.subarray(at, end));
      at = end;
    }
    if (orientation !== 1) {
      const body = join([Uint8Array.of(0x65, 0x58, 0x49, 0x66), exif(orientation)]);
      const frame = view(new Uint8Array(8));
      frame.setUint32(0, body.length - 4);
      frame.setUint32(4, crc32(body));
      const [length, sum] = [new Uint8Array(frame.buffer, 0, 4), new Uint8Array(frame.buffer, 4, 4)];
      kept.splice(2, 0, length, body, sum);
    }
    return join(kept);
  };

  const webpChunks = ["VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF", "ICCP"];
  const webp = (bytes) => {
    const data = view(bytes);
    const last = Math.min(bytes.length, 8 + data.getUint32(4, true));
    const kept = [];
    let [at, orientation, extended] = [12, 1, null];
    while (at + 8 <= last) {
      const kind = text(bytes, at, 4);
      const length = data.getUint32(at + 4, true);
      const end = at + 8 + length + (length % 2);
      need(at + 8 + length <= bytes.length);
      if (kind === "EXIF") {
        const start = at + 8 + (text(bytes, at + 8, 6) === "Exif\0\0" ? 6 : 0);
        orientation = orientationOf(bytes.subarray(start, at + 8 + length));
      } else if (webpChunks.includes(kind)) {
        const chunk = bytes.slice(at, end);
        if (kind === "VP8X") extended = chunk;
        kept.push(chunk);
      }
      at = end;
    }
    if (extended) extended[8] &= ~0x0c; // neither EXIF nor XMP
    if (extended && orientation !== 1) {
      const tiff = exif(orientation);
      extended[8] |= 0x08;
      kept.push(Uint8Array.of(0x45, 0x58, 0x49, 0x46, tiff.length, 0, 0, 0), tiff);
    }
    const body = join([Uint8Array.of(0x57, 0x45, 0x42, 0x50), ...kept]);
    const head = bytes.slice(0, 8);
    view(head).setUint32(4, body.length, true);
    return join([head, body]);
  };

  const gif = (bytes) => {
    const colours = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
    let at = 13 + colours(bytes[10]);
    const kept = [bytes.subarray(0, at)];
    for (;;) {
      const start = at;
      const block = bytes[at];
      need(at < bytes.length);
      if (block === 0x3b) { kept.push(bytes.subarray(at, at + 1)); return join(kept); }
      need(block === 0x2c || block === 0x21);
      at += block === 0x2c ? 11 + colours(bytes[at + 9]) : 2;
      const looped = block === 0x21 && bytes[start + 1] === 0xff && ["NETSCAPE2.0", "ANIMEXTS1.0"].includes(text(bytes, at + 1, 11));
      while (bytes[at]) at += 1 + bytes[at];
      at += 1;
      if (block === 0x2c || bytes[start + 1] === 0xf9 || looped) kept.push(bytes.subarray(start, at));
    }
  };

  // AVIF and HEIC: places are written as numbers all over the file, so that metadata is overwritten where it lies.
  const boxes = function* (bytes, start, end) {
    const data = view(bytes);
    while (start + 8 <= end) {
      let [length, head] = [data.getUint32(start), 8];
      if (length === 1) { length = Number(data.getBigUint64(start + 8)); head = 16; }
      if (length === 0) length = end - start;
      need(length >= head && start + length <= end);
      yield { kind: text(bytes, start + 4, 4), start, body: start + head, end: start + length };
      start += length;
    }
  };
  const places = function* (bytes, iloc, idat) {
    const data = view(bytes);
    const version = bytes[iloc.body];
    const sizes = [bytes[iloc.body + 4] >> 4, bytes[iloc.body + 4] & 15, bytes[iloc.body + 5] >> 4, bytes[iloc.body + 5] & 15];
    let at = iloc.body + 6;
    const take = (size) => {
      let value = 0;
      need(at + size <= iloc.end);
      for (let i = 0; i < size; i += 1) value = value * 256 + bytes[at + i];
      at += size;
      return value;
    };
    const wide = version === 2 ? 4 : 2;
    for (let left = take(wide); left; left -= 1) {
      const number = take(wide);
      const method = version ? take(2) & 15 : 0;
      take(2);
      const base = take(sizes[2]);
      for (let extents = take(2); extents; extents -= 1) {
        if (version) take(sizes[3]);
        const start = base + take(sizes[0]) + (method === 1 ? idat : 0);
        const length = take(sizes[1]);
        need(method < 2 && start + length <= bytes.length);
        yield { number, start, end: length ? start + length : bytes.length };
      }
    }
  };
  const boxed = (given) => {
    const bytes = given.slice();
    const data = view(bytes);
    const blank = (box) => { // an empty box of the same length
      for (const [place, letter] of [..."free"].entries()) bytes[box.start + 4 + place] = letter.charCodeAt(0);
      bytes.fill(0, box.body, box.end);
    };
    const clean = (start, end) => {
      for (const box of boxes(bytes, start, end)) {
        if (start === 0 && !["ftyp", "meta", "moov", "mdat", "free", "skip"].includes(box.kind)) blank(box);
        else if (["uuid", "udta"].includes(box.kind)) blank(box);
        else if (["moov", "trak"].includes(box.kind)) clean(box.body, box.end);
        else if (box.kind === "meta") items(box);
      }
    };
    const items = (meta) => {
      const parts = new Map([...boxes(bytes, meta.body + 4, meta.end)].map((box) => [box.kind, box]));
      const iinf = parts.get("iinf");
      if (!iinf) { blank(meta); return; }
      const told = new Set();
      for (const entry of boxes(bytes, iinf.body + (bytes[iinf.body] ? 8 : 6), iinf.end)) {
        const wide = bytes[entry.body] === 2 ? 2 : 4;
        const kind = text(bytes, entry.body + 6 + wide, 4);
        if (!["Exif", "mime", "uri ", "jumb"].includes(kind)) continue;
        told.add(wide === 2 ? data.getUint16(entry.body + 4) : data.getUint32(entry.body + 4));
        bytes.set([0x6e, 0x6f, 0x6e, 0x65], entry.body + 6 + wide); // a kind that nobody reads
      }
      if (!told.size) return;
      need(parts.has("iloc"));
      for (const place of places(bytes, parts.get("iloc"), parts.get("idat")?.body ?? 0)) {
        if (told.has(place.number)) bytes.fill(0, place.start, place.end);
      }
    };
    clean(0, bytes.length);
    return bytes;
  };

  const strip = (bytes, name, crc32) => {
    try {
      if (bytes[0] === 0xff && bytes[1] === 0xd8) return jpeg(bytes);
      if (text(bytes, 1, 3) === "PNG") return png(bytes, crc32);
      if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP") return webp(bytes);
      if (text(bytes, 0, 3) === "GIF") return gif(bytes);
      need(text(bytes, 4, 4) === "ftyp");
      return boxed(bytes);
    } catch {
      throw new Error(name + ": its metadata cannot be taken out; export it by hand, or start with --keep-metadata");
    }
  };
  return { strip };
})();
