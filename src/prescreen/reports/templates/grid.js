// The grid of all candidates: tiles, sorting, filters, stacks of near-copies, and the keys that work on it.
const Grid = (() => {
  const grid = byId("grid");
  const listeners = [];
  let visible = []; // rows in their order
  const tileOf = new Map();

  // Each row of tiles is a block: what is far away costs the browser a block and not its tiles. A block of more rows
  // takes longer than a frame when it comes near.
  let columns = 0;
  const columnsNow = () => getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const loader = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      loader.unobserve(entry.target);
      for (const item of entry.target.children) if (item.row.picture) item.querySelector("img").src = Pictures.thumbnail(item.row);
    }
  }, { rootMargin: "800px" });
  const arrange = () => {
    columns = columnsNow();
    loader.disconnect();
    const blocks = [];
    for (let start = 0; start < visible.length; start += columns) {
      const block = make("ul", "block", ...visible.slice(start, start + columns).map((row) => tileOf.get(row)));
      block.setAttribute("role", "presentation"); // to a screen reader all tiles are one list
      blocks.push(block);
    }
    grid.replaceChildren(...blocks);
    blocks.forEach((block) => loader.observe(block));
  };
  new ResizeObserver(() => {
    if (columnsNow() === columns) return;
    const focused = grid.contains(document.activeElement) ? document.activeElement : null;
    arrange();
    focused?.focus();
  }).observe(grid);

  const line = (...parts) => make("span", "line", ...parts);
  const makeTile = (row) => {
    const item = make("li");
    item.setAttribute("role", "listitem");
    const button = make("button", "tile");
    button.type = "button";
    button.tabIndex = -1;
    button.setAttribute("aria-keyshortcuts", "k x u");
    const image = row.picture ? make("img", "photo") : make("span", "photo none", "no preview");
    if (row.picture) { image.alt = ""; image.decoding = "async"; }
    const body = make("span", "body");
    const name = make("bdi", "quiet", row.name);
    if (row.failed) {
      body.append(line(make("span", "p", "failed"), make("span")), name, make("span", "tag", row.why));
    } else {
      body.append(line(make("span", "p", row.figure), make("span", "quiet", "#" + row.rank)), line(name, make("span")));
      row.traits.forEach((trait, t) => {
        const change = make("span", "change " + direction(trait.change), trait.change === null ? "" : signed(trait.change));
        body.append(line(make("span", "trait", data.traits[t]), make("span", "", decimals(trait.score) + " ", change)));
      });
      body.append(make("span", "tag proposed", "proposed"), make("span", "tag doubt", row.checks.length ? row.checks.join(" · ") : row.excluded)); // the viewer has the figures
    }
    const stack = make("span", "stack");
    stack.hidden = true;
    const decision = make("span", "decision");
    button.append(image, stack, body, decision);
    const marks = make("span", "marks");
    for (const [decided, sign, label] of [["keep", "✓", "Keep "], ["reject", "✕", "Reject "]]) {
      const mark = make("button", decided, sign);
      mark.type = "button";
      mark.tabIndex = -1; // by keyboard: K and X
      mark.setAttribute("aria-label", label + row.name);
      mark.addEventListener("click", () => Decisions.decide(row, decided));
      marks.append(mark);
    }
    item.append(button, marks);
    item.row = row;
    button.addEventListener("click", () => Viewer.open(row));
    button.addEventListener("focus", () => rove(item));
    tileOf.set(row, item);
    return item;
  };

  const showDecision = (row) => {
    const item = tileOf.get(row);
    const { decision } = Decisions.of(row);
    item.classList.toggle("kept", decision === "keep");
    item.classList.toggle("rejected", decision === "reject");
    item.querySelector(".decision").textContent = decision === "keep" ? "✓ kept" : decision === "reject" ? "✕ rejected" : "";
  };
  const excluded = (row) => row.excluded !== "" && !Proposal.free(row);
  const showProposed = () => {
    for (const [row, item] of tileOf) {
      const now = (Proposal.has(row) ? "selected" : "") + (excluded(row) ? " dim" : "");
      if (item.proposed === now) continue;
      item.proposed = now;
      item.firstChild.className = "tile " + now;
      if (row.failed) continue;
      item.querySelector(".proposed").hidden = !Proposal.has(row);
      item.querySelector(".doubt").hidden = !excluded(row);
    }
  };
  const showTags = () => {
    const select = byId("tag");
    const tags = [...new Set(rows.flatMap(Decisions.tags))].sort();
    const chosen = select.value;
    select.replaceChildren(new Option("any tag", ""), ...tags.map((tag) => new Option(tag, tag)));
    select.value = tags.includes(chosen) ? chosen : "";
    select.parentElement.hidden = tags.length === 0;
  };

  const ranges = () => [...document.querySelectorAll(".ranges input")].filter((input) => input.value !== "")
    .map((input) => ({ trait: Number(input.dataset.trait), end: input.className, value: Number(input.value) }));
  const fits = (row, wanted) => {
    const { decision } = Decisions.of(row);
    const check = wanted.check;
    return (check === "failed") === row.failed
      && (check !== "passed" || !excluded(row))
      && (check !== "excluded" || excluded(row))
      && (!check.startsWith("check:") || row.checks.includes(check.slice(6)))
      && (!wanted.decided || (decision || "none") === wanted.decided)
      && (!wanted.tag || Decisions.tags(row).includes(wanted.tag))
      && (!wanted.pareto || row.pareto)
      && row.text.includes(wanted.text)
      && (row.failed || wanted.ranges.every(({ trait, end, value }) => {
        const score = Number(row.traits[trait].score.toFixed(1)); // as it is shown
        return end === "from" ? score >= value : score <= value;
      }));
  };
  const order = (key) => {
    const value = (row) => (row.failed ? -Infinity : key === "merit" ? row.merit : row.traits[Number(key)].score);
    return key === "name"
      ? (a, b) => a.name.localeCompare(b.name, "en", { numeric: true })
      : (a, b) => value(b) - value(a) || a.index - b.index;
  };

  const update = () => {
    const wanted = {
      check: byId("check").value, decided: byId("decided").value, tag: byId("tag").value, ranges: ranges(),
      pareto: byId("pareto").checked, text: byId("find").value.trim().toLowerCase(),
    };
    const fitting = rows.filter((row) => fits(row, wanted)).sort(order(byId("sort").value));
    const stacked = byId("stacked").checked;
    const seen = new Set();
    visible = stacked ? fitting.filter((row) => !seen.has(row.stack) && seen.add(row.stack)) : fitting;
    for (const row of visible) {
      const others = stacked ? stacks.get(row.stack).length - 1 : 0;
      const item = tileOf.get(row);
      item.classList.toggle("stacked", others > 0);
      const badge = item.querySelector(".stack");
      badge.hidden = others === 0;
      badge.textContent = "+" + others + (others === 1 ? " near-copy" : " near-copies");
    }
    arrange();
    if (visible.length && !visible.some((row) => tileOf.get(row).firstChild.tabIndex === 0)) rove(tileOf.get(visible[0]));
    byId("nothing").hidden = visible.length > 0;
    byId("shown").textContent = visible.length + " of " + rows.length + " shown";
    for (const listener of listeners) listener(visible);
  };

  // One tile is in the tab order; arrows move within the grid.
  let roving = null;
  const rove = (item) => {
    if (roving) roving.firstChild.tabIndex = -1;
    roving = item;
    item.firstChild.tabIndex = 0;
  };
  const focus = (row) => tileOf.get(row)?.firstChild.focus();
  grid.addEventListener("keydown", (event) => {
    const row = event.target.closest("li")?.row;
    if (!row || typing(event)) return;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in steps) {
      const place = Math.min(Math.max(visible.indexOf(row) + steps[key], 0), visible.length - 1);
      focus(visible[place]);
    } else if (key === "k") Decisions.decide(row, "keep");
    else if (key === "x") Decisions.decide(row, "reject");
    else if (key === "u") Decisions.undo(row);
    else return;
    event.preventDefault();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || typing(event) || Viewer.isOpen()) return;
    event.preventDefault();
    byId("find").focus();
  });

  grid.style.setProperty("--traits", data.traits.length);
  rows.forEach(makeTile);
  Proposal.onChange(showProposed);
  Decisions.onChange((row) => {
    for (const changed of row ? [row] : rows) showDecision(changed);
    showTags();
    if (!row) update();
  });
  byId("tools").addEventListener("input", update);
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { byId("tools").reset(); update(); });
  byId("tools").hidden = false;
  return { update, focus, visible: () => visible,
    firstOnScreen: (test) => visible.map((row) => tileOf.get(row).firstChild).find(test),
    onUpdate: (listener) => listeners.push(listener) };
})();
