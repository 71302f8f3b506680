// What the scripts of the ranking share: the candidates and their pictures.
const data = JSON.parse(byId("candidates").textContent);
const token = byId("service") ? JSON.parse(byId("service").textContent) : null; // set where "prescreen review" serves

const rows = data.rows;
rows.forEach((row, index) => {
  row.index = index;
  row.text = (row.name + " " + row.why).toLowerCase();
});
const stacks = Map.groupBy ? Map.groupBy(rows, (row) => row.stack) : rows.reduce((map, row) => map.set(row.stack, [...(map.get(row.stack) ?? []), row]), new Map());

const draw = (tag, attributes, ...children) => {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const decimals = (value) => (value === null ? "–" : value.toFixed(1));
const signed = (value) => {
  if (value === null) return "–";
  const text = Math.abs(value).toFixed(1);
  return text === "0.0" ? "±0.0" : (value < 0 ? "−" : "+") + text;
};
const direction = (value) => (value === null || Math.abs(value) < 0.05 ? "" : value < 0 ? "loss" : "gain");
const bar = (trait, level, label = "") => {
  const at = (score) => Math.min(Math.max(10 * score, 0), 100) + "%";
  const svg = draw("svg", { class: "scale", width: "100%", height: 14, ...(label ? { role: "img", "aria-label": label } : { "aria-hidden": "true" }) },
    draw("rect", { class: "track", x: 0, y: 4, width: "100%", height: 6, rx: 3 }),
    draw("rect", { class: "level", x: 0, y: 4, width: at(level === null ? trait.score : Math.min(trait.score, level)), height: 6, rx: 3 }));
  if (trait.change) {
    svg.append(draw("rect", { class: direction(trait.change), x: at(Math.min(trait.score, level)), y: 4, width: at(Math.abs(trait.change)), height: 6 }));
  }
  if (trait.low !== null && trait.high !== null) {
    svg.append(draw("line", { class: "interval", x1: at(trait.low), x2: at(trait.high), y1: 7, y2: 7 }));
    for (const end of [trait.low, trait.high]) svg.append(draw("line", { class: "interval", x1: at(end), x2: at(end), y1: 4, y2: 10 }));
  }
  if (level !== null) svg.append(draw("line", { class: "tick", x1: at(level), x2: at(level), y1: 0, y2: 14 }));
  return svg;
};
const typing = (event) => event.ctrlKey || event.metaKey || event.altKey
  || event.target.matches("input:not([type=checkbox]), select, textarea");

const Pictures = (() => {
  const holders = document.getElementsByClassName("picture");
  const files = new Map(); // originals from the folder that the user opened, by row
  const urls = new Map();
  const ask = (what, row) => fetch("/" + what + "/" + row.index, { headers: { Authorization: "Bearer " + token } })
    .then((answer) => (answer.ok ? answer.blob() : Promise.reject(new Error(row.name + " cannot be read"))));

  const thumbnail = (row) => holders[row.index].textContent;
  // The large picture where there is one; a URL that stays valid.
  const large = async (row) => {
    if (!urls.has(row)) {
      const blob = token ? await ask("pictures", row) : files.get(row);
      if (!blob) return thumbnail(row);
      urls.set(row, URL.createObjectURL(blob));
    }
    return urls.get(row);
  };
  const original = async (row) => {
    const blob = token ? await ask("originals", row) : files.get(row);
    if (!blob) throw new Error(row.name + " is not in that folder");
    return new Uint8Array(await blob.arrayBuffer());
  };
  // Names are relative to the folder that was scored; the user may also open a folder above it.
  const open = (list) => {
    const byPath = new Map([...list].map((file) => [(file.webkitRelativePath || file.name), file]));
    for (const row of rows) {
      for (const [path, file] of byPath) {
        if (path === row.name || path.endsWith("/" + row.name)) { files.set(row, file); break; }
      }
    }
    return files.size;
  };
  return { thumbnail, large, original, open, has: (row) => token !== null || files.has(row) };
})();
