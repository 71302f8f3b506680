"use strict";
// Fills the grid of all candidates from the JSON in the page, sorts and filters it, and opens the viewer.
// Texts only ever enter the page through textContent.
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("candidates").textContent);
  const grid = byId("grid");
  let pictures = null; // megabytes: read when the first tile comes into view

  const picture = (row) => {
    pictures ??= JSON.parse(byId("pictures").textContent);
    return pictures[row.index];
  };
  const element = (tag, className, text) => {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const decimals = (value) => (value === null ? "–" : value.toFixed(1));
  const signed = (value) => {
    if (value === null) return "–";
    const text = Math.abs(value).toFixed(1);
    return text === "0.0" ? "±0.0" : (value < 0 ? "−" : "+") + text;
  };
  const direction = (value) => (value === null || Math.abs(value) < 0.05 ? "" : value < 0 ? "loss" : "gain");
  const line = (...parts) => {
    const made = element("span", "line");
    made.append(...parts);
    return made;
  };

  const loader = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      loader.unobserve(entry.target);
      entry.target.querySelector("img").src = picture(entry.target.row);
    }
  }, { rootMargin: "800px" });

  const makeTile = (row) => {
    const item = element("li");
    const button = element("button", "tile" + (row.selected ? " selected" : "") + (row.held ? " dim" : ""));
    button.type = "button";
    const image = row.picture ? element("img", "photo") : element("span", "photo none", "no preview");
    image.alt = "";
    image.decoding = "async";
    const body = element("span", "body");
    const name = element("bdi", "quiet", row.name);
    if (row.failed) {
      body.append(line(element("span", "p", "failed"), element("span")), name, element("span", "tag", row.why));
    } else {
      body.append(line(element("span", "p", row.percent), element("span", "quiet", "#" + row.rank)), line(name, element("span")));
      row.traits.forEach((trait, t) => {
        if (!data.roles[t]) return;
        const change = element("span", "change " + direction(trait.change), signed(trait.change));
        const numbers = element("span", "", decimals(trait.score) + " ");
        numbers.append(change);
        body.append(line(element("span", "trait", data.traits[t]), numbers));
      });
      if (row.selected) body.append(element("span", "tag", "on the shortlist"));
      if (row.held) body.append(element("span", "tag", row.held));
    }
    button.append(image, body);
    button.addEventListener("click", () => open(row));
    item.append(button);
    item.row = row;
    if (row.picture) loader.observe(item);
    return item;
  };

  data.rows.forEach((row, index) => {
    row.index = index;
    row.text = (row.name + " " + row.why).toLowerCase();
  });
  const tiles = data.rows.map(makeTile);
  let visible = [];

  const update = () => {
    const key = byId("sort").value;
    const wanted = byId("find").value.trim().toLowerCase();
    const value = (row) => (row.failed ? -Infinity : key === "p" ? row.p : row.traits[Number(key)].score);
    const compare = key === "name"
      ? (a, b) => a.row.name.localeCompare(b.row.name, "en", { numeric: true })
      : (a, b) => value(b.row) - value(a.row) || a.row.index - b.row.index;
    tiles.sort(compare);
    for (const tile of tiles) {
      const row = tile.row;
      tile.hidden = (row.failed && byId("failed").checked) || (row.held !== "" && byId("held").checked)
        || (!row.pareto && byId("pareto").checked) || !row.text.includes(wanted);
    }
    visible = tiles.filter((tile) => !tile.hidden).map((tile) => tile.row);
    grid.replaceChildren(...tiles);
    byId("shown").textContent = visible.length + " of " + tiles.length + " shown";
  };

  const viewer = byId("viewer");
  let current = null;
  const open = (row) => {
    current = row;
    const place = visible.indexOf(row);
    byId("viewer-name").textContent = row.name;
    byId("viewer-caption").textContent = row.failed
      ? "failed"
      : row.percent + " chance to meet all goals, rank " + row.rank;
    byId("viewer-why").textContent = row.why;
    const image = byId("viewer-picture");
    image.alt = "Candidate " + row.name;
    if (row.picture) image.src = picture(row);
    image.hidden = !row.picture;
    byId("viewer-none").hidden = row.picture;
    byId("viewer-table").hidden = row.failed;
    byId("viewer-traits").replaceChildren(...row.traits.map((trait, t) => {
      const made = element("tr");
      const name = element("th", "", data.traits[t]);
      name.scope = "row";
      const interval = trait.low === null ? "–" : decimals(trait.low) + "–" + decimals(trait.high);
      made.append(
        name, element("td", "", decimals(trait.score)), element("td", "", interval),
        element("td", "wide", decimals(data.baseline[t])), element("td", direction(trait.change), signed(trait.change)),
        element("td", "", trait.chance ?? "–"),
      );
      return made;
    }));
    byId("previous").disabled = place <= 0;
    byId("next").disabled = place < 0 || place === visible.length - 1;
    if (!viewer.open) viewer.showModal();
  };
  const step = (by) => {
    const row = visible[visible.indexOf(current) + by];
    if (row) open(row);
  };

  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", () => viewer.close());
  viewer.addEventListener("click", (event) => {
    if (event.target === viewer) viewer.close();
  });
  viewer.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  byId("tools").addEventListener("input", update);
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("tools").hidden = false;
  update();
})();
