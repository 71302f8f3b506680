// The bar that says what an export holds, and the export as CSV and as a ZIP of the pictures, named in the order to upload them and
// without metadata.
const Exports = (() => {
  // What is proposed and what was kept, best first.
  const chosen = () => Proposal.list();
  // Names as prescreen pick gives them: 1-027.jpg. None is that of a candidate, so that results cannot mean another picture.
  const lastPart = (row) => row.name.split("/").pop();
  const known = new Set(rows.map((row) => lastPart(row).toLowerCase()));
  const uploadNames = (list) => {
    for (let digits = String(list.length).length; ; digits += 1) {
      const names = list.map((row, place) => String(place + 1).padStart(digits, "0") + "-" + lastPart(row).replace(/[\\/:*?"<>|\x00-\x1f]/g, "_"));
      if (!names.some((name) => known.has(name.toLowerCase()))) return names;
    }
  };

  const csv = () => {
    const list = chosen();
    const names = uploadNames(list);
    const lines = [["order", "file", "image", "decision", "p_better", ...data.traits, "tags", "why"]];
    list.forEach((row, place) => lines.push([
      place + 1, names[place], row.name, Decisions.of(row).decision, row.p ?? "",
      ...data.traits.map((_, t) => row.traits[t]?.score ?? ""), Decisions.tags(row).join(", "), row.why,
    ]));
    return csvText(lines);
  };

  const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
    for (let bit = 0; bit < 8; bit += 1) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
    return n;
  });
  const crc32 = (bytes) => {
    let crc = 0xffffffff;
    for (const byte of bytes) crc = crcTable[(crc ^ byte) & 0xff] ^ (crc >>> 8);
    return (crc ^ 0xffffffff) >>> 0;
  };
  // A ZIP without compression (pictures are compressed already), names in UTF-8; APPNOTE.TXT 4.3.
  const zip = (files) => {
    const record = (length, fields) => {
      const view = new DataView(new ArrayBuffer(length));
      for (const [offset, bytes, value] of fields) view[bytes === 2 ? "setUint16" : "setUint32"](offset, value, true);
      return new Uint8Array(view.buffer);
    };
    const common = (at, name, bytes, crc) => [
      [at, 2, 20], [at + 2, 2, 0x0800], [at + 8, 2, 0x21], [at + 10, 4, crc], [at + 14, 4, bytes.length],
      [at + 18, 4, bytes.length], [at + 22, 2, name.length],
    ];
    const [parts, directory] = [[], []];
    let offset = 0;
    for (const { name, bytes } of files) {
      const encoded = new TextEncoder().encode(name);
      const crc = crc32(bytes);
      parts.push(record(30, [[0, 4, 0x04034b50], ...common(4, encoded, bytes, crc)]), encoded, bytes);
      directory.push(record(46, [[0, 4, 0x02014b50], [4, 2, 20], ...common(6, encoded, bytes, crc), [42, 4, offset]]), encoded);
      offset += 30 + encoded.length + bytes.length;
    }
    const length = directory.reduce((sum, part) => sum + part.length, 0);
    const end = record(22, [[0, 4, 0x06054b50], [8, 2, files.length], [10, 2, files.length], [12, 4, length], [16, 4, offset]]);
    return new Blob([...parts, ...directory, end], { type: "application/zip" });
  };

  const exportCsv = () => {
    download(new Blob(["\ufeff" + csv()], { type: "text/csv" }), "shortlist.csv");
    say(chosen().length + " rows exported");
  };
  const saveDecisions = () => {
    const decided = rows.filter((row) => Decisions.of(row).decision || Decisions.of(row).tags.length);
    const lines = decided.map((row) => [row.name, Decisions.of(row).decision, Decisions.of(row).tags.join(", ")]);
    download(new Blob(["\ufeff" + csvText([["image", "decision", "tags"], ...lines])], { type: "text/csv" }), "decisions.csv");
    say(decided.length + " decisions saved");
  };
  const exportZip = async () => {
    const list = chosen();
    if (!list.every(Pictures.has)) { // a page from disk may not read files by itself: the user opens the folder
      byId("saved").textContent = "choose the folder that was scored";
      byId("folder").click();
      return;
    }
    try {
      const [files, names] = [[], uploadNames(list)];
      for (const [place, row] of list.entries()) {
        const bytes = await Pictures.original(row);
        files.push({
          name: names[place],
          bytes: data.keepMetadata ? bytes : Strip.strip(bytes, row.name, crc32),
        });
      }
      files.push({ name: "shortlist.csv", bytes: new TextEncoder().encode("\ufeff" + csv()) });
      download(zip(files), "shortlist.zip");
      say(list.length + " pictures exported");
    } catch (error) {
      byId("saved").textContent = error.message;
    }
  };
  byId("folder")?.addEventListener("change", (event) => {
    const found = Pictures.open(event.target.files);
    const missing = chosen().filter((row) => !Pictures.has(row));
    byId("saved").textContent = found + " of " + rows.length + " pictures found";
    if (missing.length) byId("saved").textContent = missing[0].name + " is not in that folder";
    else exportZip();
    event.target.value = "";
  });

  const showTray = () => {
    const list = chosen();
    const kept = Proposal.kept();
    const parts = [[list.length - kept.length, " proposed"], [kept.length, " kept"]].filter(([count]) => count);
    byId("holds").textContent = list.length ? `Export ${list.length}: ${parts.map((part) => part.join("")).join(", ")}` : "Nothing to export";
    byId("rejected-count").textContent = Decisions.rejected().length + " rejected";
    for (const id of ["export-csv", "export-zip"]) byId(id).disabled = list.length === 0;
    byId("kept").replaceChildren(...list.slice(0, 40).map((row, place) => {
      const button = make("button", "", row.picture ? "" : row.name);
      button.type = "button";
      button.setAttribute("aria-label", `Open ${row.name}, number ${place + 1} to upload`);
      if (row.picture) {
        const image = make("img");
        image.alt = "";
        image.src = Pictures.thumbnail(row);
        button.append(image);
      }
      button.addEventListener("click", () => Viewer.open(row, chosen));
      return make("li", "", button);
    }));
  };
  byId("export-csv").addEventListener("click", exportCsv);
  byId("export-zip").addEventListener("click", exportZip);
  byId("save-decisions")?.addEventListener("click", saveDecisions);
  Decisions.onChange(showTray);
  byId("tray").hidden = false;
  return { csv };
})();

Decisions.load();
